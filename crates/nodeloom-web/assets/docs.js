// Filters the operations as one types. Without this script everything is still there.
"use strict";

const search = document.getElementById("search");
const operations = [...document.querySelectorAll("details.operation")];
search.parentElement.hidden = false;

search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const operation of operations) {
    const text = operation.textContent.toLowerCase();
    operation.hidden = !words.every((word) => text.includes(word));
  }
  for (const group of document.querySelectorAll("section.group")) {
    const own = [...group.querySelectorAll("details.operation")];
    group.hidden = own.length > 0 && own.every((operation) => operation.hidden);
  }
});

function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.matches("details")) {
    target.open = true;
  }
}
addEventListener("hashchange", openTarget);
openTarget();
