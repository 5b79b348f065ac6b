import { byId } from './dom';

const line = byId('status').querySelector('p')!;
const bar = byId('status').querySelector('progress')!;
const alert = byId('problem');

/** Says what is going on, and how much of it is done, if that is known. */
export function say(text: string, done?: number): void {
  line.textContent = text;
  bar.hidden = done === undefined;
  if (done !== undefined) bar.value = done;
}

/** Says what went wrong; with nothing, takes back what was said. */
export function complain(problems: string[]): void {
  alert.textContent = problems.join('\n');
  alert.hidden = problems.length === 0;
}
