// Conformance cases of kind "calibration", each through the public functions of calibration/index.ts.

import * as cal from "../../calibration/index.ts";
import { demand, pick, without } from "./attrs.ts";
import type { CaseFunction, CaseTensor } from "./case.ts";

type Inputs = Record<string, CaseTensor>;
type Attrs = Record<string, unknown>;

const tensor = (data: ArrayLike<number>, shape: number[] = [data.length]): CaseTensor => ({
  dtype: "F64",
  shape,
  data: Float64Array.from(data),
});
const scalar = (value: number): CaseTensor => tensor([value], []);
const whole = (data: ArrayLike<number>, shape: number[] = [data.length]): CaseTensor => ({
  dtype: "I32",
  shape,
  data: Int32Array.from(data),
});
const wholeScalar = (value: number): CaseTensor => whole([value], []);
const flags = (data: ArrayLike<number>, shape: number[] = [data.length]): CaseTensor => ({
  dtype: "U8",
  shape,
  data: Uint8Array.from(data),
});
const flag = (value: boolean): CaseTensor => flags([value ? 1 : 0], []);

function get(inputs: Inputs, name: string): CaseTensor {
  const found = inputs[name];
  if (!found) throw new Error(`case has no input ${name}`);
  return found;
}
const data = (inputs: Inputs, name: string) => get(inputs, name).data;
const number = (attrs: Attrs, name: string) => attrs[name] as number;
const numbers = (attrs: Attrs, name: string) => attrs[name] as number[];

/** `[N, C]` or `[N, K, C]` logits with labels (zeros where a case has none). */
function table(inputs: Inputs, name = "logits", macs?: number[]): cal.Table {
  const { shape, data } = get(inputs, name);
  const [n, k, c] = shape.length === 2 ? [shape[0]!, 1, shape[1]!] : [shape[0]!, shape[1]!, shape[2]!];
  const labels = inputs["labels"]?.data.length === n ? inputs["labels"].data : new Int32Array(n);
  return cal.createTable({ logits: data as cal.Values, labels, shape: [n, k, c], ...(macs && { macs }) });
}

/** A value of each exit; a scalar where the logits have no exits. */
const perExit = (inputs: Inputs, values: ArrayLike<number>): CaseTensor =>
  get(inputs, "logits").shape.length === 2 ? scalar(values[0]!) : tensor(values);

/** Scores and correctness, given or from single-exit logits. */
function scored(inputs: Inputs): { scores: ArrayLike<number>; correct: ArrayLike<number> } {
  if (inputs["scores"]) return { scores: inputs["scores"].data, correct: data(inputs, "correct") };
  const all = cal.outcomes(table(inputs));
  return { scores: all.maxProb, correct: all.errors.map((e) => 1 - e) };
}

/** A case that is one number of the groups of equal score. */
const fromGroups =
  (f: (groups: cal.ScoreGroups, attrs: Attrs) => number): CaseFunction =>
  (inputs, attrs) => {
    const { scores, correct } = scored(inputs);
    return { value: scalar(f(cal.groupScores(scores, correct), attrs)) };
  };

const metrics: Record<string, CaseFunction> = {
  nll: (inputs) => ({ value: perExit(inputs, cal.nll(cal.outcomes(table(inputs)))) }),
  brier: (inputs) => ({ value: perExit(inputs, cal.brier(cal.outcomes(table(inputs)))) }),
  ece: (inputs, attrs) => {
    const { scores, correct } = scored(inputs);
    return { value: scalar(cal.ece(scores, correct, attrs as cal.EceOptions)) };
  },
  mce: (inputs, attrs) => {
    const { scores, correct } = scored(inputs);
    return { value: scalar(cal.mce(scores, correct, number(attrs, "nBins"))) };
  },
  classwiseEce: (inputs, attrs) => ({
    value: perExit(inputs, cal.classwiseEce(table(inputs), number(attrs, "nBins"))),
  }),
  auroc: fromGroups(cal.groupAuroc),
  auprSuccess: fromGroups((groups) => cal.groupAupr(groups, "success")),
  auprError: fromGroups((groups) => cal.groupAupr(groups, "error")),
  fprAtTpr: fromGroups((groups, attrs) => cal.groupFprAtTpr(groups, number(attrs, "tpr"))),
  aurc: fromGroups(cal.groupAurc),
  eAurc: fromGroups(cal.groupExcessAurc),
  augrc: fromGroups(cal.groupAugrc),
  coverageAtRisk: (inputs, attrs) => {
    const { scores, correct } = scored(inputs);
    const point = cal.groupCoverageAtRisk(cal.groupScores(scores, correct), number(attrs, "risk"));
    return { value: scalar(point.coverage), threshold: scalar(point.threshold) };
  },
  riskAtCoverage: (inputs, attrs) => {
    const { scores, correct } = scored(inputs);
    const point = cal.groupRiskAtCoverage(cal.groupScores(scores, correct), number(attrs, "coverage"));
    return { value: scalar(point.risk), threshold: scalar(point.threshold) };
  },
  failurePrediction: (inputs, attrs) => {
    const c = cal.cascade(table(inputs), attrs["score"] as cal.PlainScore);
    const aurocs = Array.from({ length: c.exits }, (_, j) =>
      cal.auroc(cal.column(c.scores, c.exits, j), cal.correctness(c.errors, c.exits, j)),
    );
    return { perExit: tensor(aurocs) };
  },
  eefp: (inputs, attrs) => {
    const c = cal.cascade(table(inputs), attrs["score"] as cal.PlainScore);
    demand(attrs, "population", "all", "reached");
    const threshold = number(attrs, "threshold");
    // Cases over all samples name the threshold of their neighbours, which decides nothing there.
    const { target, perExit, mean } = cal.eefp(
      c,
      attrs["population"] === "reached" ? { population: "reached", threshold } : { population: "all" },
    );
    return { target: flags(target, [c.samples, c.exits]), perExit: tensor(perExit), mean: scalar(mean) };
  },
  spearman: (inputs) => ({ rho: scalar(cal.spearman(data(inputs, "x"), data(inputs, "y"))) }),
};

const scaling: Record<string, CaseFunction> = {
  temperatureScaling: (inputs, attrs) => {
    const t = table(inputs);
    const fits = Array.from({ length: t.exits }, (_, j) => cal.fitLogitScaler(t, j, "temperature"));
    const shape = attrs["perExit"] ? [t.exits] : [];
    return {
      temperature: tensor(
        fits.map((f) => f.parameters[0]!),
        shape,
      ),
      nll: tensor(
        fits.map((f) => f.nll),
        shape,
      ),
    };
  },
  vectorScaling: (inputs) => {
    const { nll, nllBefore } = cal.fitLogitScaler(table(inputs), 0, "vector");
    return { nll: scalar(nll), initialNll: scalar(nllBefore) };
  },
};

/** `f` for every pair of two count inputs. */
function pairwise(inputs: Inputs, a: string, b: string, f: (x: number, y: number) => number): Float64Array {
  const ys = data(inputs, b);
  return Float64Array.from(data(inputs, a), (x, i) => f(x, ys[i]!));
}

const bounds: Record<string, CaseFunction> = {
  clopperPearson: (inputs, attrs) => {
    const options = attrs as { alpha: number; side: "two" | "upper" | "lower" };
    const { shape } = get(inputs, "k");
    return {
      lower: tensor(
        pairwise(inputs, "k", "n", (k, n) => cal.clopperPearson(k, n, options).lower),
        shape,
      ),
      upper: tensor(
        pairwise(inputs, "k", "n", (k, n) => cal.clopperPearson(k, n, options).upper),
        shape,
      ),
    };
  },
  binomialPValue: (inputs, attrs) => {
    const alpha = number(attrs, "alpha");
    return {
      p: tensor(
        pairwise(inputs, "errors", "n", (errors, n) => cal.binomialPValue(errors, n, alpha)),
        get(inputs, "errors").shape,
      ),
      nMin: whole([0.05, 0.1].map((delta) => cal.smallestTestable(alpha, delta))),
    };
  },
  hoeffdingBentkus: (inputs, attrs) => {
    const alpha = number(attrs, "alpha");
    const isBinary = attrs["lossType"] === "binary";
    const name = isBinary ? "errors" : "risk";
    const p = pairwise(inputs, name, "n", (x, n) =>
      cal.hoeffdingBentkusPValue(isBinary ? { errors: x } : { risk: x }, n, alpha),
    );
    return { p: tensor(p, get(inputs, name).shape) };
  },
  wsrUpperBound: (inputs, attrs) => ({
    upper: scalar(cal.wsrUpperBound(data(inputs, "losses"), number(attrs, "delta"))),
  }),
  multipleTesting: (inputs, attrs) => ({
    rejected: flags(
      cal.rejectHypotheses(data(inputs, "p"), number(attrs, "delta"), attrs["method"] as cal.Correction),
      get(inputs, "p").shape,
    ),
  }),
};

/** Outputs common to conformal risk control and upper confidence bounds. */
function knob(choice: cal.KnobChoice): Record<string, CaseTensor> {
  return {
    index: wholeScalar(choice.index),
    feasible: flag(choice.ok),
    ...(choice.lambda !== undefined && { lambda: scalar(choice.lambda) }),
  };
}

const riskControl: Record<string, CaseFunction> = {
  conformalRiskControl: (inputs, attrs) => {
    const losses = { losses: data(inputs, "losses"), lambdas: data(inputs, "lambdas") };
    // The reference takes losses as they are.
    const choice = cal.conformalRiskControl(losses, { ...(attrs as { alpha: number }), anyLosses: true });
    return { ...knob(choice), bound: tensor(choice.bound) };
  },
  ucbThreshold: (inputs, attrs) => {
    const losses = { losses: data(inputs, "losses"), lambdas: data(inputs, "lambdas") };
    const choice = cal.ucbThreshold(losses, attrs as { alpha: number; delta: number; bound: cal.UpperBound });
    return { ...knob(choice), ucb: tensor(choice.bound) };
  },
  ltt: (inputs, attrs) => {
    const arrays = { scores: data(inputs, "scores"), errors: data(inputs, "errors"), grid: data(inputs, "grid") };
    const test = cal.lttThreshold(arrays, attrs as unknown as cal.RiskLevels);
    return { threshold: scalar(test.threshold), feasible: flag(test.ok), nMin: wholeScalar(test.nMin) };
  },
  sequentialSurvivors: (inputs, attrs) => {
    const { thresholds, survivors } = cal.sequentialSurvivors(
      {
        scores: data(inputs, "scores"),
        errors: data(inputs, "errors"),
        validationScores: data(inputs, "valScores"),
        earlyExits: get(inputs, "scores").shape[1]!,
        gridQuantiles: numbers(attrs, "gridQuantiles"),
      },
      pick<cal.RiskLevels>(attrs, "alpha", "delta"),
    );
    const feasible = flags(Array.from(thresholds, (t) => (t < Number.POSITIVE_INFINITY ? 1 : 0)));
    return { threshold: tensor(thresholds), feasible, survivors: wholeScalar(survivors) };
  },
  lttPooled: (inputs, attrs) => {
    const arrays = { scores: data(inputs, "scores"), errors: data(inputs, "errors"), grid: data(inputs, "grid") };
    const earlyExits = get(inputs, "grid").shape[1]!;
    const { ok, index } = cal.lttPooled({ ...arrays, earlyExits }, attrs as unknown as cal.RiskLevels);
    return { index: wholeScalar(index), feasible: flag(ok) };
  },
};

const published: Record<string, CaseFunction> = {
  safeKdThresholds: (inputs, attrs) => {
    const { tau, bar, rank } = cal.safeKdReleasedCode(cal.outcomes(table(inputs)), { delta: number(attrs, "delta") });
    const test = cal.cascade(table(inputs, "testLogits"));
    const exits = cal.decide(test, bar.subarray(0, test.exits - 1));
    return { tau: tensor(tau), bar: tensor(bar), rank: wholeScalar(rank), testExit: whole(exits) };
  },
  classPrecisionMargin: (inputs, attrs) => {
    const branches = get(inputs, "logits");
    const [n, k, c] = branches.shape as [number, number, number];
    const logits = new Float64Array(n * (k + 1) * c);
    for (let i = 0; i < n; i++) {
      logits.set(branches.data.subarray(i * k * c, (i + 1) * k * c), i * (k + 1) * c);
      logits.set(data(inputs, "backbone").subarray(i * c, (i + 1) * c), (i * (k + 1) + k) * c);
    }
    const all = cal.createTable({ logits, labels: data(inputs, "labels"), shape: [n, k + 1, c] });
    const { thresholds, backbonePrecision, exits } = cal.classPrecisionMargin(cal.cascade(all), {
      margin: number(attrs, "margin"),
      mode: attrs["marginMode"] as "multiplicative" | "subtractive",
      minSupport: number(attrs, "minSupport"),
    });
    return {
      threshold: tensor(thresholds, [k, c]),
      backbonePrecision: tensor(backbonePrecision),
      exit: whole(exits),
    };
  },
  msdnetBudget: (inputs, attrs) => {
    const macs = numbers(attrs, "costs");
    const given = (name: string) => {
      const scores = data(inputs, name);
      return cal.cascadeFromScores({ scores, errors: new Uint8Array(scores.length), exits: macs.length, macs });
    };
    const budget = cal.budgetThresholds(given("scores"), number(attrs, "p"));
    const test = given("testScores");
    const testExits = cal.decide(test, budget.thresholds);
    return {
      fractions: tensor(budget.fractions),
      threshold: tensor([...budget.thresholds, Number.NEGATIVE_INFINITY]),
      exit: whole(budget.exits),
      expectedCost: scalar(budget.expectedCost),
      testExit: whole(testExits),
      testCost: scalar(cal.achieved(test, testExits).cost),
    };
  },
};

/** Scores whose published form is an uncertainty, lower = more confident. */
const isUncertainty = new Set(["entropy", "normalisedEntropy", "energy"]);

const policies: Record<string, CaseFunction> = {
  policy: (inputs, attrs) => {
    const name = attrs["policy"] as "oracle" | cal.PlainScore | cal.RunningScore;
    const c = cal.cascade(table(inputs), name === "oracle" ? "maxProb" : name);
    const sign = isUncertainty.has(name) ? -1 : 1;
    const threshold = sign * ((attrs["threshold"] ?? attrs["patience"]) as number);
    const exits = name === "oracle" ? cal.decideByOracle(c) : cal.decide(c, threshold);
    const hasScore = name !== "oracle" && name !== "patience";
    return {
      exit: whole(exits),
      prediction: whole(cal.predictionsAt(c, exits)),
      accuracy: scalar(cal.achieved(c, exits).accuracy),
      ...(hasScore && {
        score: tensor(
          c.scores.map((s) => sign * s),
          [c.samples, c.exits],
        ),
      }),
    };
  },
  accuracyCostCurve: (inputs, attrs) => {
    const test = cal.cascade(table(inputs, "logits", numbers(attrs, "costs")));
    const points = cal.thresholdCurve(test, numbers(attrs, "thresholds"));
    const cost = points.map((point) => point.cost);
    const accuracy = points.map((point) => point.accuracy);
    return {
      cost: tensor(cost),
      accuracy: tensor(accuracy),
      area: scalar(cal.areaUnderCurve(cost, accuracy)),
      accuracyAtCost: tensor([0.5, 0.75].map((at) => cal.accuracyAtCost(cost, accuracy, at))),
    };
  },
  areaUnderCurve: (inputs) => ({
    value: scalar(cal.areaUnderCurve(data(inputs, "cost"), data(inputs, "accuracy"))),
  }),
  exitRisks: (inputs, attrs) => {
    const risks = cal.exitRisks(cal.cascade(table(inputs)), numbers(attrs, "thresholds"));
    return {
      fraction: tensor(risks.fraction),
      marginalRisk: tensor(risks.marginalRisk),
      operationalRisk: tensor(risks.operationalRisk),
      earlyRisk: scalar(risks.earlyRisk),
    };
  },
};

const sets: Record<string, CaseFunction> = {
  nestedSets: (inputs, attrs) => {
    const { shape, data } = get(inputs, "ratios");
    const [n, exits, classes] = shape as [number, number, number];
    const nested = cal.nestedSets(data, { exits, classes, alpha: number(attrs, "alpha") });
    return { sets: flags(nested.sets, [n, exits, classes]), size: whole(nested.size, [n, exits]) };
  },
  conformalSets: (inputs, attrs) => {
    const side = (name: "cal" | "test") => ({
      logits: data(inputs, `${name}Logits`) as cal.Values,
      classes: get(inputs, `${name}Logits`).shape[1]!,
      ...(attrs["randomized"] === true && { u: data(inputs, `${name}U`) }),
    });
    const rule = cal.calibrateSets(
      { ...side("cal"), labels: data(inputs, "calLabels") },
      without<cal.SetOptions>(attrs, "randomized"),
    );
    const members = cal.predictSets(side("test"), rule);
    const { size, coverage } = cal.setQuality(members, data(inputs, "testLabels"), side("test").classes);
    return {
      rank: wholeScalar(rule.rank),
      quantile: scalar(rule.quantile),
      feasible: flag(rule.ok),
      sets: flags(members, get(inputs, "testLogits").shape),
      size: whole(size),
      coverage: scalar(coverage),
    };
  },
};

/** Op name to function. */
export const calibrationCases: Record<string, CaseFunction> = {
  ...metrics,
  ...scaling,
  ...bounds,
  ...riskControl,
  ...published,
  ...policies,
  ...sets,
};
