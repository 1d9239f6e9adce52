// The camera, painted: its newest frame goes out as a JPEG, at most two at a time, and a painting
// is shown unless a newer one has been.
const find = (name) => element.querySelector(name);
const canvas = find("canvas"), camera = find("video"), rate = find("output");
const start = find(".start"), snapshot = find(".snapshot"), record = find(".record");
const small = document.createElement("canvas");
const LONGEST = 640, IN_FLIGHT = 2;
const WHY = {
  NotAllowedError: "The camera may not be used. Allow it at the page's address, and start again.",
  NotFoundError: "No camera was found. Plug one in, and start again.",
  NotReadableError: "Another program has the camera. Close that, and start again.",
};
let stream = null, recorder = null, flying = 0, sent = 0, shown = 0, drawn = [];

const say = (text) => { find("[role=status]").textContent = text; };

function stop(why = "") {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  if (recorder?.state === "recording") recorder.stop();
  camera.hidden = snapshot.disabled = record.disabled = true;
  start.textContent = "Start camera";
  rate.textContent = "";
  say(why);
}

async function run() {
  say("");
  if (!navigator.mediaDevices) {
    return say("A browser gives its camera to https pages only, or to localhost.");
  }
  try {
    const video = { width: { ideal: 640 }, frameRate: { ideal: 30 }, facingMode: "user" };
    start.disabled = true;  // until it is known: a second click would ask for a second one
    stream = await navigator.mediaDevices.getUserMedia({ video });
  } catch (error) {
    return say(WHY[error.name] ?? "The camera cannot be used here: " + error.message);
  } finally {
    start.disabled = false;
  }
  if (!element.offsetParent) return stop();  // they went to another tab meanwhile
  stream.getVideoTracks()[0].onended = () => stop("The camera is gone.");
  start.textContent = "Stop camera";
  camera.srcObject = stream;
  camera.hidden = false;
  drawn = [];
  await camera.play();
  camera.requestVideoFrameCallback(next);
}

function next() {
  if (!stream) return;
  if (flying < IN_FLIGHT) send(++sent);
  camera.requestVideoFrameCallback(next);
}

async function send(number) {
  flying += 1;
  try {
    const began = performance.now();
    const scale = Math.min(1, LONGEST / Math.max(camera.videoWidth, camera.videoHeight));
    small.width = 2 * Math.round(camera.videoWidth * scale / 2);
    small.height = 2 * Math.round(camera.videoHeight * scale / 2);
    small.getContext("2d").drawImage(camera, 0, 0, small.width, small.height);
    const body = await new Promise((done) => small.toBlob(done, "image/jpeg", 0.85));
    const { root, api_prefix } = window.gradio_config;
    const headers = { "X-Seat": props.value, "Content-Type": "image/jpeg" };
    const answer = await fetch(`${root}${api_prefix}/live`, { method: "POST", headers, body });
    if (answer.status === 429) return;
    if (!answer.ok) throw new Error((await answer.json()).detail);
    show(number, began, await createImageBitmap(await answer.blob()));
  } catch (error) {
    if (stream) stop(error instanceof TypeError ? "The page cannot be reached." : error.message);
  } finally {
    flying -= 1;
  }
}

function show(number, began, picture) {
  if (stream && number > shown) {
    shown = number;
    if (canvas.width !== picture.width) canvas.width = picture.width;
    if (canvas.height !== picture.height) canvas.height = picture.height;
    canvas.getContext("2d").drawImage(picture, 0, 0);
    snapshot.disabled = record.disabled = false;
    const now = performance.now();
    drawn = [...drawn.filter((time) => now - time < 2000), now];
    const fps = 1000 * (drawn.length - 1) / (now - drawn[0] || 1);
    rate.textContent = `${fps.toFixed(0)} frames a second, ${(now - began).toFixed(0)} ms behind`;
  }
  picture.close();
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { download: name });
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

start.onclick = () => (stream ? stop() : run());
snapshot.onclick = () => canvas.toBlob((blob) => save(blob, "stylevid.png"));
record.onclick = () => {
  if (recorder?.state === "recording") return recorder.stop();
  const mimeType = ["video/mp4", "video/webm"].find((type) => MediaRecorder.isTypeSupported(type));
  const parts = [];
  recorder = new MediaRecorder(canvas.captureStream(30), { mimeType, videoBitsPerSecond: 8e6 });
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    record.textContent = "Record";
    record.ariaPressed = "false";
    save(new Blob(parts, { type: mimeType }), `stylevid.${mimeType.split("/")[1]}`);
  };
  recorder.start(1000);
  record.textContent = "Stop recording";
  record.ariaPressed = "true";
};
// Another tab of the page was opened.
new ResizeObserver(() => { if (stream && !element.offsetParent) stop(); }).observe(element);
