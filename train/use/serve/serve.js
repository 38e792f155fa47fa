"use strict";
// Sends a video, and shows what the server says while it works: a line of JSON each time something happens.

const at = (id) => document.getElementById(id);
const drop = at("drop"), input = at("video"), progress = at("progress"), cancel = at("cancel");
let request = null;

function say(text, refused = false) {
  at("status").textContent = text;
  at("status").className = refused ? "refused" : "";
}

function show(share) { // of what is done, 0 to 1; null where nobody knows
  progress.hidden = false;
  if (share === null) progress.removeAttribute("value");
  else progress.value = share;
}

function stop(text, refused) {
  request = null;
  progress.hidden = cancel.hidden = at("wait").hidden = true;
  input.disabled = false;
  say(text, refused);
}

function hear(event) {
  if (event.ahead) {
    say(`Waiting: ${event.ahead} ${event.ahead === 1 ? "video is" : "videos are"} before yours.`);
    show(null);
  } else if (event.doing) {
    const windows = event.doing === "predicting windows" && event.of > 0; // none in what cannot be answered
    say(windows ? `Window ${event.done} of ${event.of}…` : "Looking for the face and following it…");
    show(windows ? event.done / event.of : null);
  } else if (event.refused) {
    stop(event.refused, true);
  } else if (event.answer) {
    at("answer").innerHTML = event.answer; // made by the server, which escapes all text
    stop("Done.");
    at("result").hidden = false;
    at("result").focus();
  }
}

function send(file) {
  at("result").hidden = true;
  if (file.size > Number(drop.dataset.mostBytes)) return stop(drop.dataset.tooLarge, true);
  const own = request = new XMLHttpRequest();
  let heard = 0;
  const listen = () => {
    const lines = own.responseText.split("\n");
    for (; own.status === 200 && heard < lines.length - 1; heard++) hear(JSON.parse(lines[heard]));
  };
  const left = (text) => { if (request === own) stop(text, true); };
  own.upload.onprogress = (event) => { say("Sending…"); show(event.loaded / event.total); };
  own.upload.onload = () => { say("Reading the video…"); show(null); };
  own.onprogress = listen;
  own.onload = () => {
    listen();
    left(own.status === 200 ? "The server stopped before the answer." : own.responseText);
  };
  own.onerror = () => left("The connection to the server broke off.");
  own.onabort = () => stop("Cancelled.");
  own.open("POST", `/videos?name=${encodeURIComponent(file.name)}`);
  own.setRequestHeader("Content-Type", "application/octet-stream");
  own.send(file);
  input.disabled = true;
  cancel.hidden = false;
}

input.onclick = () => { input.value = ""; }; // or choosing the same file again would be no change
input.onchange = () => { if (input.files.length) send(input.files[0]); };
cancel.onclick = () => request.abort();
addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault(); // or the browser would open the video
  drop.classList.remove("over");
  const { files, items } = event.dataTransfer;
  if (!files.length) return;
  if (request) at("wait").hidden = false; // not the status, which says something else a moment later
  else if (files.length > 1) say("Drop one video at a time.", true);
  else if ([...items].some((item) => item.webkitGetAsEntry()?.isDirectory)) say("Drop a video, not a folder.", true);
  else {
    input.files = files; // shows its name
    send(files[0]);
  }
});
