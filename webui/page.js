// What gradio leaves out for the keyboard, the screen reader and those who want no motion.
(() => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let told = 0, last = "";

  // Each style by its name, not as "Thumbnail 3 of 13"; a clip at rest for those who ask for it.
  function mend() {
    document.querySelectorAll(".thumbnail-item").forEach((item) => {
      const name = item.querySelector(".caption-label")?.innerText.replace("\n", ", ");
      if (name && item.ariaLabel !== name) item.ariaLabel = name;
      item.querySelectorAll("img[alt]:not([alt=''])").forEach((picture) => picture.alt = "");
      const chosen = String(item.classList.contains("selected"));
      if (item.ariaPressed !== chosen) item.ariaPressed = chosen;
    });
    document.querySelectorAll("#stage video:not([data-seen])").forEach((video) => {
      video.dataset.seen = "";
      if (calm.matches) video.pause();
    });
  }

  // The status aloud: what has happened at once, progress every ten seconds.
  function tell() {
    const status = document.querySelector("#status"), said = document.querySelector("#said");
    if (!status || !said) return;
    if (status.querySelector("progress") && Date.now() - told < 10000) return;
    told = Date.now();
    // Not compared with what `said` shows: out of sight, a text has other white space.
    if (last !== status.innerText) said.innerText = last = status.innerText;
  }

  addEventListener("click", (event) => {
    const video = event.target.closest?.(".pause")?.parentElement.querySelector("video");
    if (video) video.paused ? video.play() : video.pause();
  });
  function start() {
    const said = document.createElement("div");
    said.id = "said";
    said.setAttribute("role", "status");
    document.body.append(said);
    document.documentElement.lang ||= "en";
    new MutationObserver(() => { mend(); tell(); }).observe(document.body, {
      attributeFilter: ["class"], childList: true, subtree: true });
  }
  document.body ? start() : addEventListener("DOMContentLoaded", start);
})();
