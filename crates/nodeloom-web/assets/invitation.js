// Shows an invitation and accepts it. What comes back is put on the page as text, never as
// markup; the code stays in this script.
"use strict";

const at = (id) => document.getElementById(id);
const problem = at("problem");
let code = "";
let offer = null;

function tell(message) {
  problem.textContent = message;
  problem.hidden = !message;
  if (message) {
    problem.focus();
  }
}

function show(name, message) {
  const place = at(`${name}-error`);
  if (!place) {
    return false;
  }
  place.textContent = message;
  place.hidden = !message;
  if (message) {
    at(name).setAttribute("aria-invalid", "true");
  } else {
    at(name).removeAttribute("aria-invalid");
  }
  return true;
}

function refuse(answer) {
  const fields = Array.isArray(answer.fields) ? answer.fields : [];
  const rest = fields.filter((f) => f.field === "code" || !show(f.field, f.message));
  const words = rest.map((f) => (f.field === "code" ? `The invitation: ${f.message}.` : `${f.field}: ${f.message}`));
  tell(words.length ? words.join(" ") : answer.message);
}

async function send(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    credentials: "same-origin",
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  return { ok: response.ok, answer };
}

function joined(me) {
  at("joined").textContent = offer.teamName;
  at("who").textContent = me.email;
  code = "";
  at("offer").hidden = true;
  at("done").hidden = false;
  at("done").focus();
}

async function read() {
  const { ok, answer } = await send("/api/invitations/read", { code });
  if (!ok) {
    refuse(answer);
    at("ask").hidden = false;
    return;
  }
  offer = answer;
  at("inviter").textContent = answer.invitedBy;
  at("invited").textContent = answer.email;
  at("team").textContent = answer.teamName;
  at("role").textContent = answer.role;
  at("until").textContent = new Date(answer.expiresAt).toLocaleString();
  for (const next of ["new-account", "join", "sign-in", "other-account"]) {
    at(next).hidden = next !== answer.next;
  }
  at("ask").hidden = true;
  at("offer").hidden = false;
  at("offer").focus();
}

async function accept(person) {
  const { ok, answer } = await send("/api/invitations/accept", { code, ...person });
  if (ok) {
    joined(answer);
  } else {
    refuse(answer);
  }
}

// One request at a time, and every failure said.
function on(id, work) {
  const form = at(id);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell("");
    form.querySelectorAll("input").forEach((input) => show(input.id, ""));
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await work();
    } catch {
      tell("The server did not answer. Is it still running? Try again.");
    } finally {
      form.querySelectorAll("input[type=password]").forEach((input) => { input.value = ""; });
      button.disabled = false;
    }
  });
}

on("ask", async () => {
  const text = at("code").value.trim();
  code = text.includes("#") ? text.slice(text.indexOf("#") + 1) : text;
  at("code").value = "";
  await read();
});

on("new-account", async () => {
  const password = at("password").value;
  if (password !== at("repeat").value) {
    show("repeat", "is not the same as the password");
    at("repeat").focus();
    return;
  }
  await accept({
    password,
    firstName: at("firstName").value.trim(),
    lastName: at("lastName").value.trim(),
  });
});

on("join", () => accept({}));

on("sign-in", async () => {
  const proof = { email: offer.email, password: at("current").value };
  const factor = at("factor").value.trim();
  at("factor").value = "";
  if (factor) {
    proof.code = factor;
  }
  const { ok, answer } = await send("/api/auth/login", proof);
  if (ok) {
    await accept({});
  } else {
    if (answer.code === "SECOND_FACTOR_REQUIRED") {
      at("second-factor").hidden = false;
    }
    tell(answer.message);
  }
});

// Out of the address bar with it, so that it is neither bookmarked nor seen over a shoulder.
if (location.hash.length > 1) {
  code = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  read().catch(() => tell("The server did not answer. Is it still running? Try again."));
} else {
  at("ask").hidden = false;
  at("code").focus();
}
