import { byId } from './dom';
import { complain } from './status';

const panel = byId('footage');
const video = panel.querySelector('video')!;
const camera = byId<HTMLInputElement>('camera');
const live = byId<HTMLInputElement>('live');

let isPlaying = false;

/** What is done with the camera's pictures, or a clip's. */
export interface Listener {
  /** A photograph was taken. */
  onPhoto(photo: Blob): void;
  /** The next frame is to be painted; the one after comes when that is done. */
  onFrame(frame: HTMLVideoElement): Promise<void>;
  /** No more frames come. */
  onEnd(): void;
}

/** Sets up the camera's switch, its picture, and what can be done with it. */
export function setUpFootage(listener: Listener): void {
  camera.onchange = () => (camera.checked ? openCamera() : close());
  live.onchange = () => play(listener);
  byId('shoot').onclick = async () => listener.onPhoto(await shoot());
}

/** Plays a clip of the user's, and paints it as it plays. */
export async function openClip(file: File): Promise<void> {
  close();
  camera.checked = false;
  video.src = URL.createObjectURL(file);
  try {
    await show(file.name);
  } catch {
    close();
    throw new Error(`${file.name}: not a clip that this browser can play, or a damaged one`);
  }
  live.click();
}

async function openCamera(): Promise<void> {
  close();
  camera.checked = true;
  try {
    const wanted = { facingMode: 'environment', width: 1920, height: 1080 };
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: wanted });
    await show('Camera');
  } catch {
    close();
    complain(['There is no camera, or this page may not use it.']);
  }
}

async function show(name: string): Promise<void> {
  panel.hidden = false;
  video.ariaLabel = name;
  await video.play();
}

function close(): void {
  if (live.checked) live.click();
  if (video.srcObject) for (const track of (video.srcObject as MediaStream).getTracks()) track.stop();
  if (video.src) URL.revokeObjectURL(video.src);
  video.srcObject = null;
  video.removeAttribute('src');
  video.load();
  panel.hidden = true;
  camera.checked = false;
}

async function play({ onFrame, onEnd }: Listener): Promise<void> {
  if (isPlaying) return; // it ends after the frame
  isPlaying = true;
  try {
    while (live.checked) await onFrame(video);
  } catch (error) {
    complain([(error as Error).message]);
    live.checked = false;
  }
  isPlaying = false;
  onEnd();
}

function shoot(): Promise<Blob> {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext('2d')!.drawImage(video, 0, 0);
  return canvas.convertToBlob();
}
