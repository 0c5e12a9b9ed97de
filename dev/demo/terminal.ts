import { styleText } from 'node:util';

type Style = 'dim' | 'bold' | 'green' | 'red' | 'cyan' | 'yellow' | 'magenta';

const WIDTH_WHEN_UNKNOWN = 80;

/**
 * Standard output as lines that stay and, on a terminal, one last line that is rewritten in place. Piped, or with
 * NO_COLOR, it is plain text.
 */
export class Terminal {
  readonly #out: NodeJS.WriteStream;
  readonly #hasColour: boolean;
  #footer = '';

  constructor(out: NodeJS.WriteStream, env: Readonly<Record<string, string | undefined>>) {
    this.#out = out;
    this.#hasColour = this.isInteractive && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
    // The reader of the pipe (head, less) may leave first.
    out.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }

  get isInteractive(): boolean {
    return this.#out.isTTY;
  }

  get width(): number {
    return this.isInteractive ? this.#out.columns : WIDTH_WHEN_UNKNOWN;
  }

  paint(style: Style, text: string): string {
    return this.#hasColour ? styleText(style, text) : text;
  }

  line(text = ''): void {
    this.#out.write(`${this.#eraseFooter()}${text}\n${this.#footer}`);
  }

  /** Rewritten in place on a terminal, a line like any other elsewhere. `text` is one line that fits. */
  setFooter(text: string): void {
    if (!this.isInteractive) {
      this.line(text);
      return;
    }
    this.#out.write(`${this.#eraseFooter()}${text}`);
    this.#footer = text;
  }

  /** The last line is given up: ordinary lines follow. */
  endFooter(): void {
    this.#out.write(this.#eraseFooter());
    this.#footer = '';
  }

  #eraseFooter(): string {
    return this.#footer === '' ? '' : '\r\u001b[2K';
  }
}
