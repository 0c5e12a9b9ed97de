/** Numbers for people: 12,345. */
export function grouped(number: number): string {
  return number.toLocaleString('en-US');
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${grouped(number)} ${number === 1 ? one : many}`;
}
