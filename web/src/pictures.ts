/** The longer side of a resized picture has at most so many times the pixels of the shorter one. */
const MAX_ASPECT = 3;
const THUMBNAIL = 192; // pixels of the shorter side

/** A picture to choose. */
export interface Photo {
  name: string;
  /** The address of the picture, or of a small one of it. */
  thumbnail: string;
  /** Its bytes, in which it is kept: they are less than its pixels. */
  file(): Promise<Blob>;
}

/** The pictures that come with the page, from their addresses. */
export function examples(addresses: Record<string, string>): Photo[] {
  return Object.entries(addresses).map(([path, url]) => ({
    name: stem(path).replaceAll('_', ' '),
    thumbnail: url,
    file: async () => (await fetch(url)).blob(),
  }));
}

/** A picture of the user's own. */
export async function openPhoto(file: Blob, name: string): Promise<Photo> {
  const bitmap = await decode(file, name);
  const small = await resized(bitmap, THUMBNAIL);
  const canvas = new OffscreenCanvas(small.width, small.height);
  canvas.getContext('2d')!.drawImage(small, 0, 0);
  const thumbnail = URL.createObjectURL(await canvas.convertToBlob());
  return { name: stem(name), thumbnail, file: async () => file };
}

/** The pixels of a picture, upright, with a shorter side of so many; and its own size. */
export async function pixelsOf(photo: Photo, size: number): Promise<[ImageBitmap, DOMRectReadOnly]> {
  const bitmap = await decode(await photo.file(), photo.name);
  const whole = new DOMRectReadOnly(0, 0, bitmap.width, bitmap.height);
  return [await resized(bitmap, size), whole];
}

async function decode(file: Blob, name: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error(`${name}: not a picture that this browser can read, or a damaged one`);
  }
}

/** A bitmap with a shorter side of so many pixels; the one given is used up. */
async function resized(bitmap: ImageBitmap, size: number): Promise<ImageBitmap> {
  const { width, height } = bitmap;
  const [shorter, longer] = [Math.min(width, height), Math.max(width, height)];
  const scale = Math.min(size / shorter, (MAX_ASPECT * size) / longer);
  if (scale === 1) return bitmap;
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(Math.round(scale * side), 1));
  const other = await createImageBitmap(bitmap, { resizeWidth, resizeHeight, resizeQuality: 'high' });
  bitmap.close();
  return other;
}

function stem(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.\w+$/, '');
}
