// Sends the set-up form as JSON. What comes back is put on the page as text, never as
// markup.
"use strict";

const form = document.getElementById("set-up");
const problem = document.getElementById("problem");
const names = ["code", "email", "password", "repeat", "firstName", "lastName"];
const input = (name) => document.getElementById(name);

// The link has the code behind `#`, alone or as `code=…`. Out of the address bar with
// it, so that it is neither bookmarked nor seen over a shoulder.
const fragment = location.hash.slice(1);
if (fragment) {
  const code = fragment.startsWith("code=") ? fragment.slice(5) : fragment;
  try {
    input("code").value = decodeURIComponent(code);
  } catch {
    input("code").value = code;
  }
  history.replaceState(null, "", location.pathname);
}
input(input("code").value ? "email" : "code").focus();

function show(name, message) {
  const place = document.getElementById(`${name}-error`);
  if (!place) {
    return false;
  }
  place.textContent = message;
  place.hidden = !message;
  if (message) {
    input(name).setAttribute("aria-invalid", "true");
  } else {
    input(name).removeAttribute("aria-invalid");
  }
  return true;
}

function tell(message) {
  problem.textContent = message;
  problem.hidden = !message;
}

function clearPasswords() {
  input("password").value = "";
  input("repeat").value = "";
}

function refuse(answer) {
  const fields = Array.isArray(answer.fields) ? answer.fields : [];
  const rest = fields.filter((f) => !show(f.field, f.message));
  tell([answer.message, ...rest.map((f) => `${f.field}: ${f.message}`)].join(" "));
  clearPasswords();
  const first = names.find((name) => input(name).hasAttribute("aria-invalid"));
  if (first) {
    input(first).focus();
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  tell("");
  names.forEach((name) => show(name, ""));
  if (input("password").value !== input("repeat").value) {
    refuse({ message: "Type the password again.", fields: [{ field: "repeat", message: "is not the same as the password" }] });
    return;
  }
  const body = {};
  for (const name of names.filter((n) => n !== "repeat")) {
    const value = input(name).value;
    body[name] = name === "password" ? value : value.trim();
  }
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const response = await fetch("/api/setup", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      credentials: "same-origin",
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) {
      refuse(answer);
      return;
    }
    clearPasswords();
    input("code").value = "";
    document.getElementById("who").textContent = answer.email;
    form.hidden = true;
    const done = document.getElementById("done");
    done.hidden = false;
    done.focus();
  } catch {
    refuse({ message: "The server did not answer. Is it still running? Try again." });
  } finally {
    button.disabled = false;
  }
});
