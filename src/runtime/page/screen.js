// Canvases of programs, drawn with square pixels.

import { several } from "./dom.js";

/** Pixels of the screen that a canvas may be high. */
const TALL = 420;

/** Puts the base64 of RGBA bytes on a canvas element. */
export function paint(canvas, [width, height], base64) {
  const bytes = Uint8ClampedArray.from(atob(base64), (letter) => letter.charCodeAt(0));
  // Alpha is the program's to set, and a picture is looked at, not laid over something.
  for (let at = 3; at < bytes.length; at += 4) bytes[at] = 255;
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(bytes, width, height), 0, 0);
}

/** Sizes the canvas to the largest whole number of the display's pixels that its box has room for. */
export function fit(canvas, caption) {
  const box = canvas.parentElement;
  const style = getComputedStyle(box);
  const room = box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  if (room <= 0) return;
  const dense = window.devicePixelRatio || 1;
  const most = Math.min(room / canvas.width, Math.max(TALL, canvas.height) / canvas.height) * dense;
  const zoom = most >= 1 ? Math.floor(most) / dense : most / dense;
  canvas.classList.toggle("smooth", most < 1);
  canvas.style.width = `${canvas.width * zoom}px`;
  canvas.style.height = `${canvas.height * zoom}px`;
  const shown =
    zoom >= 1 ? `, ${several(Math.round(zoom * 10) / 10, "time")} its size` : ", made smaller";
  caption.textContent = `${canvas.width} × ${canvas.height}${Math.abs(zoom - 1) < 0.01 ? "" : shown}`;
}
