// Why a request is not answered.

/** A request that cannot be answered, and why. */
export class BadRequest extends Error {
  override readonly name = "BadRequest";
  readonly statusCode: number;

  constructor(message: string, statusCode = 400) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** The queue is full, or closed. */
export class BusyError extends Error {
  override readonly name = "BusyError";
  /** Seconds after which to try again. */
  readonly retryAfter: number;

  constructor(message: string, retryAfter: number) {
    super(message);
    this.retryAfter = retryAfter;
  }
}
