// Counters in the text format of Prometheus.

type Labels = Readonly<Record<string, string>>;

const written = (labels: Labels): string => {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${value.replace(/["\\\n]/g, "_")}"`);
  return parts.length > 0 ? `{${parts.join(",")}}` : "";
};

/** What only grows. */
export class Counter {
  readonly #values = new Map<string, number>();
  readonly name: string;
  readonly help: string;

  constructor(name: string, help: string) {
    this.name = name;
    this.help = help;
  }

  add(amount = 1, labels: Labels = {}): void {
    const key = written(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + amount);
  }

  lines(): readonly string[] {
    return [
      `# HELP ${this.name} ${this.help}`,
      `# TYPE ${this.name} counter`,
      ...Array.from(this.#values, ([labels, value]) => `${this.name}${labels} ${value}`),
    ];
  }
}

/** What is asked when it is read: values by labels. */
export class Gauge {
  readonly #read: () => readonly (readonly [value: number, labels?: Labels])[];
  readonly name: string;
  readonly help: string;

  constructor(name: string, help: string, read: () => readonly (readonly [value: number, labels?: Labels])[]) {
    this.name = name;
    this.help = help;
    this.#read = read;
  }

  lines(): readonly string[] {
    const values = this.#read().map(([value, labels = {}]) => `${this.name}${written(labels)} ${numberOf(value)}`);
    return [`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} gauge`, ...values];
  }
}

/** How often values were at most each bound. */
export class Histogram {
  readonly #counts: number[];
  #sum = 0;
  #count = 0;
  readonly name: string;
  readonly help: string;
  readonly bounds: readonly number[];

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count += 1;
    for (const [i, bound] of this.bounds.entries()) if (value <= bound) this.#counts[i]! += 1;
  }

  lines(): readonly string[] {
    const { name } = this;
    return [
      `# HELP ${name} ${this.help}`,
      `# TYPE ${name} histogram`,
      ...this.bounds.map((bound, i) => `${name}_bucket{le="${bound}"} ${this.#counts[i]}`),
      `${name}_bucket{le="+Inf"} ${this.#count}`,
      `${name}_sum ${this.#sum}`,
      `${name}_count ${this.#count}`,
    ];
  }
}

const numberOf = (value: number): string => (Number.isNaN(value) ? "NaN" : String(value));

/** The page that a scraper reads. */
export const textOf = (all: readonly { lines(): readonly string[] }[]): string =>
  `${all.flatMap((metric) => metric.lines()).join("\n")}\n`;
