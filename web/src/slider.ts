/** Has a slider show its value beside it, and tell when it is moved. */
export function slider(input: HTMLInputElement, onMove: (value: number) => void): void {
  const output = input.parentElement!.querySelector('output')!;
  const show = () => {
    output.value = `${input.value} %`;
  };
  input.addEventListener('input', () => {
    show();
    onMove(input.valueAsNumber);
  });
  show();
}
