// Questions: halt asks once, resume wants a reason, a daemon with a token wants it.

import { byId } from "./elements.js";

export async function post(path, document) {
  const response = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(document), credentials: "same-origin",
  });
  const text = await response.text();
  return { status: response.status, document: text ? JSON.parse(text) : {} };
}

// `carryOut` answers what is wrong, or nothing: then the dialog closes.
function question(name, carryOut) {
  const dialog = byId(`${name}-dialog`);
  const error = dialog.querySelector(".error");
  const confirm = byId(`${name}-confirm`);
  dialog.querySelector("[data-cancel]")?.addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    try {
      const wrong = await carryOut();
      error.textContent = wrong || "";
      if (!wrong) dialog.close();
    } catch (problem) {
      error.textContent = `The daemon does not answer (${problem.message}). A file HALT in its state folder halts it too.`;
    } finally {
      confirm.disabled = false;
    }
  });
  return (focus) => {
    error.textContent = "";
    for (const input of dialog.querySelectorAll("input")) input.value = "";
    if (!dialog.open) dialog.showModal();
    byId(focus).focus();
  };
}

const wrongOf = (answer, ...good) => (good.includes(answer.status) ? "" : answer.document.error || `the daemon answered ${answer.status}`);

export function wireDialogs(loggedIn, loginNeeded) {
  const askHalt = question("halt", async () => {
    const answer = await post("/halt", { reason: byId("halt-reason").value, actor: "page" });
    if (answer.status === 401) loginNeeded();
    return wrongOf(answer, 200, 202);
  });
  const askResume = question("resume", async () => {
    const answer = await post("/resume", { reason: byId("resume-reason").value, actor: "page" });
    if (answer.status === 401) loginNeeded();
    return wrongOf(answer, 200);
  });
  const askToken = question("login", async () => {
    const wrong = wrongOf(await post("/login", { token: byId("login-token").value }), 204);
    if (!wrong) loggedIn();
    return wrong;
  });
  // A login cannot be waved away: there is nothing to see without it.
  byId("login-dialog").addEventListener("cancel", (event) => event.preventDefault());
  byId("halt").addEventListener("click", () => askHalt("halt-reason"));
  byId("resume").addEventListener("click", () => {
    byId("resume-halt").textContent = byId("banner").textContent;
    askResume("resume-reason");
  });
  return () => askToken("login-token");
}
