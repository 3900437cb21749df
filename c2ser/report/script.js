"use strict";
// A cell of a confusion matrix lists its recordings, and plays them one after another.
const { utterances, cells } = JSON.parse(document.getElementById("recordings").textContent);

function element(name, kind, ...content) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...content);
  return made;
}

// ids, transcripts and answers may be in any script: each is isolated from the text around it
const isolated = text => element("bdi", "", text);

function player(utterance) {
  if (!utterance.sound) return element("p", "silent", "cannot be heard: ", isolated(utterance.silent));
  const audio = element("audio");
  Object.assign(audio, { controls: true, preload: "none", src: "data:audio/mpeg;base64," + utterance.sound });
  audio.setAttribute("aria-label", utterance.id);
  return audio;
}

function entry([place, probability, answer]) {
  const utterance = utterances[place], item = element("li");
  const facts = [];
  if (utterance.speaker) facts.push(element("span", "", "speaker ", isolated(utterance.speaker)));
  if (probability !== null) facts.push(element("span", "", `probability ${probability.toFixed(2)}`));
  item.append(element("p", "id", isolated(utterance.id)), element("p", "facts", ...facts), player(utterance));
  if (utterance.text) item.append(element("p", "text", isolated(utterance.text)));
  if (answer) item.append(element("p", "answer", isolated(answer)));
  return item;
}

function playFrom(players, place) {
  if (players[place]) players[place].play().catch(() => {});
}

function show(button) {
  const card = button.closest(".model"), list = card.querySelector(".list"), rows = cells[button.dataset.cell];
  card.querySelectorAll("button[aria-pressed=true]").forEach(other => other.setAttribute("aria-pressed", "false"));
  button.setAttribute("aria-pressed", "true");
  const count = Number(button.dataset.count);
  const more = count > rows.length ? ` The ${rows.length} surest of them:` : "";
  const title = element("strong", "", button.dataset.title);
  list.querySelector(".hint").replaceChildren(title, ` ${count} recording${count > 1 ? "s" : ""}.${more}`);
  const items = list.querySelector("ol");
  items.replaceChildren(...rows.map(entry));
  const players = [...items.querySelectorAll("audio")];
  players.forEach((audio, place) => audio.addEventListener("ended", () => playFrom(players, place + 1)));
  playFrom(players, 0);
}

document.addEventListener("click", event => {
  const button = event.target.closest("button[data-cell]");
  if (button) show(button);
});

// one voice at a time; the event does not bubble
document.addEventListener("play", event => {
  document.querySelectorAll("audio").forEach(audio => { if (audio !== event.target) audio.pause(); });
}, true);
