// Small plots as SVG that stands in a page: it takes the page's colours, so dark mode too, and says in title and
// description what is to be seen.

/** A plot's frame. */
export interface Frame {
  readonly title: string;
  /** What is to be seen, for who does not see it. */
  readonly description: string;
  readonly height: number;
  readonly x: Axis;
  readonly y?: Axis;
}

/** An axis: its ends, what is written at it, and what it is of. */
interface Axis {
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
  readonly text: (value: number) => string;
  readonly label: string;
}

const WIDTH = 640;
const MARGIN = { left: 56, right: 16, top: 12, bottom: 44 } as const;

/** Colours by what they mean; each differs from the others in lightness too. */
const COLOURS = {
  good: "var(--vp-c-brand-1)",
  bad: "var(--vp-c-danger-1)",
  quiet: "var(--vp-c-text-3)",
  text: "var(--vp-c-text-1)",
} as const;
export type Colour = keyof typeof COLOURS;

/** Text as it may stand in SVG. */
const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const short = (value: number): string => String(Number(value.toFixed(1)));

/** Draws into a frame; places are in the units of its axes, `y` upwards. */
export class Plot {
  readonly #frame: Frame;
  readonly #marks: string[] = [];

  constructor(frame: Frame) {
    this.#frame = frame;
  }

  #x(value: number): number {
    const { from, to } = this.#frame.x;
    return MARGIN.left + ((value - from) / (to - from)) * (WIDTH - MARGIN.left - MARGIN.right);
  }

  #y(value: number): number {
    const { height, y } = this.#frame;
    const { from, to } = y ?? { from: 0, to: 1 };
    return height - MARGIN.bottom - ((value - from) / (to - from)) * (height - MARGIN.bottom - MARGIN.top);
  }

  bar(from: number, to: number, value: number, colour: Colour): void {
    const [left, right, top, bottom] = [this.#x(from) + 1, this.#x(to) - 1, this.#y(value), this.#y(0)];
    this.#marks.push(
      `<rect x="${short(left)}" y="${short(top)}" width="${short(right - left)}" height="${short(bottom - top)}" fill="${COLOURS[colour]}"/>`,
    );
  }

  dot(x: number, y: number, colour: Colour): void {
    this.#marks.push(
      `<circle cx="${short(this.#x(x))}" cy="${short(this.#y(y))}" r="3" fill="${COLOURS[colour]}" fill-opacity="0.75"/>`,
    );
  }

  line(points: readonly (readonly [x: number, y: number])[], colour: Colour, isDashed = false): void {
    const path = points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${short(this.#x(x))} ${short(this.#y(y))}`).join("");
    const dashes = isDashed ? ' stroke-dasharray="5 4"' : "";
    this.#marks.push(`<path d="${path}" fill="none" stroke="${COLOURS[colour]}" stroke-width="2"${dashes}/>`);
  }

  text(x: number, y: number, text: string, { anchor = "start", colour = "text" as Colour } = {}): void {
    this.#marks.push(label(this.#x(x), this.#y(y), text, { anchor, colour }));
  }

  /** The SVG. @param id of its title and description, one of the page's own */
  svg(id: string): string {
    const { title, description, height, x, y } = this.#frame;
    const bottom = height - MARGIN.bottom;
    const axes = [
      `<path d="M${MARGIN.left} ${bottom}H${WIDTH - MARGIN.right}" stroke="${COLOURS.quiet}"/>`,
      ...x.ticks.map((tick) => label(this.#x(tick), bottom + 17, x.text(tick), { anchor: "middle" })),
      label((MARGIN.left + WIDTH - MARGIN.right) / 2, height - 6, x.label, { anchor: "middle" }),
      ...(y?.ticks.map((tick) => label(MARGIN.left - 8, this.#y(tick) + 4, y.text(tick), { anchor: "end" })) ?? []),
      ...(y ? [label(MARGIN.left + 4, MARGIN.top + 8, y.label)] : []),
    ];
    return [
      `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="${id}-title ${id}-description" font-family="inherit" font-size="13">`,
      `<title id="${id}-title">${escaped(title)}</title><desc id="${id}-description">${escaped(description)}</desc>`,
      ...axes,
      ...this.#marks,
      "</svg>",
    ].join("\n");
  }
}

function label(x: number, y: number, text: string, { anchor = "start", colour = "text" as Colour } = {}): string {
  return `<text x="${short(x)}" y="${short(y)}" text-anchor="${anchor}" fill="${COLOURS[colour]}">${escaped(text)}</text>`;
}
