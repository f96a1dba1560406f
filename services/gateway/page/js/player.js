// The picture: HLS through the gateway. Its programme time is the stream's own, so captions and picture meet.

import Hls from "../vendor/hls.light.min.mjs";
import { authorization, streamPath } from "./api.js";
import { byId, say } from "./dom.js";
import { clock } from "./units.js";

const AGAIN_MS = 2000;
const LIVE_S = 4;

export class Player {
  /** `onTime(at)`: the moment that is shown, in seconds of the stream; null while nothing is. */
  constructor(onTime) {
    this.video = byId("video");
    this.screen = byId("screen");
    this.onTime = onTime;
    byId("play").addEventListener("click", () => this.toggle());
    byId("go-live").addEventListener("click", () => this.goLive());
    byId("full").addEventListener("click", () => this.fullScreen());
    this.video.addEventListener("click", () => this.toggle());
    for (const name of ["play", "pause"]) this.video.addEventListener(name, () => this.tellPlaying());
    this.video.addEventListener("loadedmetadata", () => {
      const { videoWidth, videoHeight } = this.video;
      // On a phone the frame takes the picture's shape; a tall picture gets bars instead of the whole page.
      this.screen.style.setProperty("--shape", String(Math.max(videoWidth / videoHeight, 4 / 3)));
    });
    this.video.addEventListener("playing", () => { byId("no-picture").hidden = true; });
    const tick = () => { this.tick(); requestAnimationFrame(tick); };
    tick();
  }

  /** Shows a stream; `over`: it has ended, and its picture may be gone. */
  show(stream, over) {
    this.stop();
    this.stream = stream;
    this.over = over;
    this.wait(over ? "This stream is over" : "Waiting for the picture");
    this.start();
  }

  stop() {
    clearTimeout(this.again);
    this.hls?.destroy();
    this.hls = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.onTime(null);
  }

  start() {
    const playlist = streamPath(this.stream, "/preview/index.m3u8");
    if (!Hls.isSupported()) {
      // Safari on a phone plays HLS itself.
      this.video.src = playlist;
      return;
    }
    const hls = new Hls({
      enableWorker: false, lowLatencyMode: false, liveSyncDurationCount: 2, liveMaxLatencyDurationCount: 8, maxBufferLength: 20, backBufferLength: 120,
      xhrSetup: (request) => Object.entries(authorization()).forEach(([name, value]) => request.setRequestHeader(name, value)),
    });
    this.hls = hls;
    hls.on(Hls.Events.ERROR, (_, error) => this.failed(hls, error));
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.video.play().catch(() => this.tellPlaying()));
    hls.loadSource(playlist);
    hls.attachMedia(this.video);
  }

  failed(hls, error) {
    if (!error.fatal || hls !== this.hls) return;
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR && !this.recovered) {
      this.recovered = true;
      hls.recoverMediaError();
      return;
    }
    this.recovered = false;
    hls.destroy();
    this.hls = null;
    this.onTime(null);
    this.wait(this.over ? "This stream is over, and its picture is no longer kept" : "No picture yet: the narration does not wait for it");
    if (!this.over) this.again = setTimeout(() => this.start(), AGAIN_MS);
  }

  wait(words) {
    byId("no-picture").hidden = false;
    say(byId("no-picture-text"), words);
  }

  /** The moment of the stream that is shown; null while nothing is. */
  get time() {
    const date = this.hls ? this.hls.playingDate : this.video.getStartDate?.() && new Date(this.video.getStartDate().getTime() + this.video.currentTime * 1000);
    return date && Number.isFinite(date.getTime()) && this.video.readyState >= 2 ? date.getTime() / 1000 : null;
  }

  tick() {
    const at = this.time;
    if (at !== this.last) {
      this.last = at;
      this.onTime(at);
      say(byId("clock"), at === null ? "" : clock(at));
      const edge = this.hls?.liveSyncPosition;
      byId("go-live").dataset.live = String(at !== null && (edge == null || this.video.currentTime > edge - LIVE_S) && !this.video.paused);
    }
  }

  /** Goes to a moment, if it is still at hand; false: it is not. */
  seek(at) {
    const now = this.time;
    if (now === null) return false;
    const target = this.video.currentTime + (at - now);
    const { seekable } = this.video;
    const first = seekable.length ? seekable.start(0) : 0;
    const last = seekable.length ? seekable.end(seekable.length - 1) : 0;
    if (target < first - 0.5 || target > last) return false;
    this.video.currentTime = Math.max(first, target);
    this.video.play().catch(() => {});
    return true;
  }

  goLive() {
    const edge = this.hls?.liveSyncPosition ?? (this.video.seekable.length ? this.video.seekable.end(0) - 1 : null);
    if (edge !== null) this.video.currentTime = edge;
    this.video.play().catch(() => {});
  }

  toggle() {
    if (this.video.paused) this.video.play().catch(() => {});
    else this.video.pause();
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else (this.screen.requestFullscreen || this.video.webkitEnterFullscreen)?.call(this.screen.requestFullscreen ? this.screen : this.video);
  }

  tellPlaying() {
    const { paused } = this.video;
    byId("play-icon").setAttribute("href", paused ? "#i-play" : "#i-pause");
    byId("play").setAttribute("aria-label", paused ? "Play" : "Pause");
  }
}
