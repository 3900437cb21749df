"use strict";
(() => {
  // The segment that plays; it ends by itself, and other positions of the player belong to no segment.
  let playing = null;
  const player = () => document.querySelector("#c2ser-player audio");

  function show(part) {
    playing = part;
    document.querySelectorAll(".c2ser-result [aria-current]").forEach(element => element.removeAttribute("aria-current"));
    if (!part) return;
    document.querySelectorAll(`.c2ser-result [data-start="${part.start}"][data-end="${part.end}"]`).forEach(
      element => (element.closest("li") || element).setAttribute("aria-current", "true"));
  }

  document.addEventListener("click", event => {
    const button = event.target.closest?.(".c2ser-result [data-start]");
    const audio = player();
    if (!button || !audio) return;
    audio.currentTime = Number(button.dataset.start);
    show({ start: button.dataset.start, end: button.dataset.end });
    audio.play().catch(() => show(null));
  });

  // Events of media do not bubble, but they can be caught on their way down.
  document.addEventListener("timeupdate", event => {
    if (!playing || event.target !== player()) return;
    if (event.target.currentTime >= Number(playing.end)) { event.target.pause(); show(null); }
  }, true);
})();
