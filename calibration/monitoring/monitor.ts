// Does the promise still hold in use? An anytime-valid test of "early-exit risk <= alpha" by betting (Waudby-Smith and
// Ramdas 2024; Ville's inequality): it may be looked at after every label, and raises a false alarm with probability at
// most delta over an unlimited run. Bets are laid anew all the time, so that a break is noticed however late it comes.

import { what } from "../../base/index.ts";
import { check, readOptions } from "../errors.ts";
import type { RiskLevels } from "../rules/result.ts";
import { checkLevels, LEVELS } from "../rules/selective-risk.ts";
import { alarmAfter, RestartedBets } from "./restarted-bets.ts";

/** What a monitor says after an observation. */
export interface MonitorState {
  /** Observations so far. */
  readonly n: number;
  /** Mean loss so far; NaN before the first. */
  readonly risk: number;
  /** Evidence against the promise: expectation at most 1 while it holds. */
  readonly eValue: number;
  /** True from the moment the evidence reached 1/delta on. */
  readonly isAlarm: boolean;
  /** Observation at which the alarm was raised; -1 if none. */
  readonly alarmAt: number;
}

/** Watches a stream of losses in [0, 1]. */
export interface RiskMonitor {
  /**
   * Adds the loss of one early leaver: 1 or true = wrong. Labels may arrive late, in any order and of any part of the
   * answers, as long as neither is chosen by outcome: where wrong answers are labelled more often than right ones, the
   * alarm is of the labels; where right ones are, a break is hidden.
   */
  observe(loss: number | boolean): MonitorState;
  readonly state: MonitorState;
}

/**
 * Shares of the largest admissible bet that are mixed: small ones win against slow drift, large ones against breakage.
 */
const BETS = [0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6] as const;

/**
 * A monitor for the samples that leave early (or at one exit, or of one class), with losses in [0, 1].
 *
 * Without labels, pass a proxy: disagreement with the full network on a random sample of early leavers ("consistency"),
 * or `1 - confidence` if confidences are calibrated; the promise then is about the proxy.
 */
export function createRiskMonitor(levels: RiskLevels): RiskMonitor {
  const { alpha, delta } = readOptions("createRiskMonitor", levels, LEVELS);
  checkLevels("createRiskMonitor", { alpha, delta });
  const goal = Math.log(1 / delta);
  const bets = new RestartedBets(BETS.length);
  let sum = 0;
  let state: MonitorState = { n: 0, risk: Number.NaN, eValue: 1, isAlarm: false, alarmAt: -1 };
  return {
    observe(loss) {
      const x = Number(loss);
      const isLoss = (typeof loss === "number" || typeof loss === "boolean") && x >= 0 && x <= 1;
      check(isLoss, "monitor.observe", "the loss must lie in [0, 1]", what(loss));
      // stake b/alpha on "the loss is above alpha": wealth stays non-negative because b <= 1
      const evidence = bets.step((own, k) => own * (1 + (BETS[k]! / alpha) * (x - alpha)));
      sum += x;
      const alarm = alarmAfter(state, evidence, goal);
      state = { ...alarm, risk: sum / alarm.n };
      return state;
    },
    get state() {
      return state;
    },
  };
}

/** What a cascade monitor says: an alarm of any exit is an alarm. */
export interface CascadeMonitorState {
  readonly isAlarm: boolean;
  /** `[K-1]` one state per early exit. */
  readonly exits: readonly MonitorState[];
}

/** Watches the early exits of a cascade apart. */
export interface CascadeMonitor {
  /** Adds one sample by the exit it took and its loss, once that is known; samples of the last exit are passed over. */
  observe(exit: number, loss: number | boolean): CascadeMonitorState;
  readonly state: CascadeMonitorState;
}

/**
 * A monitor for the promise of `learnThenTest`: the risk of every early exit at most alpha. Each of the K-1 monitors
 * runs at delta/(K-1), so that a false alarm of any has probability at most delta.
 */
export function createCascadeMonitor(options: RiskLevels & { readonly exits: number }): CascadeMonitor {
  const { alpha, delta, exits } = readOptions("createCascadeMonitor", options, { ...LEVELS, exits: "number!" });
  check(Number.isInteger(exits) && exits > 1, "createCascadeMonitor", "exits must be a whole number above 1", exits);
  const early = exits - 1;
  const monitors = Array.from({ length: early }, () => createRiskMonitor({ alpha, delta: delta / early }));
  const state = (): CascadeMonitorState => {
    const states = monitors.map((monitor) => monitor.state);
    return { isAlarm: states.some(({ isAlarm }) => isAlarm), exits: states };
  };
  return {
    observe(exit, loss) {
      checkExit("monitor.observe", exit, exits);
      monitors[exit]?.observe(loss);
      return state();
    },
    get state() {
      return state();
    },
  };
}

/** What a deployment monitor says: also how many decisions still wait for their label. */
export interface DeploymentMonitorState extends CascadeMonitorState {
  readonly pending: number;
}

/** Watches decisions whose labels arrive later, in any order that errors do not choose. */
export interface DeploymentMonitor {
  /** A sample was answered at an exit. */
  decided(id: string | number, exit: number, prediction: number): void;
  /** Its label has arrived, or, as a label-free proxy, the full network's answer to it. */
  resolved(id: string | number, answer: number): DeploymentMonitorState;
  readonly state: DeploymentMonitorState;
}

/**
 * A cascade monitor that keeps decisions until they can be judged. With labels it tests the promise of `learnThenTest`;
 * with the full network's answers to a random part of the samples it tests that early answers disagree with it at most
 * alpha of the time. @throws CalibrationError for an id decided twice, or resolved without a decision.
 */
export function createDeploymentMonitor(options: RiskLevels & { readonly exits: number }): DeploymentMonitor {
  const monitor = createCascadeMonitor(
    readOptions("createDeploymentMonitor", options, { ...LEVELS, exits: "number!" }),
  );
  const waiting = new Map<string | number, { readonly exit: number; readonly prediction: number }>();
  const state = (): DeploymentMonitorState => ({ ...monitor.state, pending: waiting.size });
  return {
    decided(id, exit, prediction) {
      checkExit("monitor.decided", exit, options.exits);
      checkClass("monitor.decided", "prediction", prediction);
      check(!waiting.has(id), "monitor.decided", "ids of waiting decisions must differ", String(id));
      waiting.set(id, { exit, prediction });
    },
    resolved(id, answer) {
      checkClass("monitor.resolved", "answer", answer);
      const decision = waiting.get(id);
      check(decision !== undefined, "monitor.resolved", "the id must belong to a waiting decision", String(id));
      waiting.delete(id);
      monitor.observe(decision.exit, decision.prediction !== answer);
      return state();
    },
    get state() {
      return state();
    },
  };
}

function checkClass(op: string, name: string, value: number): void {
  check(Number.isInteger(value) && value >= 0, op, `the ${name} must be the index of a class`, what(value));
}

function checkExit(op: string, exit: number, exits: number): void {
  const isExit = Number.isInteger(exit) && exit >= 0 && exit < exits;
  check(isExit, op, `the exit must lie in 0..${exits - 1}`, exit);
}
