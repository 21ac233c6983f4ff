/** An answer of the Engine API that is no success: `{"message": …}` with its HTTP status. */

export class ApiError extends Error {
  override readonly name: string = 'ApiError';
  readonly statusCode: number;

  constructor(statusCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.statusCode = statusCode;
  }
}

export const badRequest = (message: string): ApiError => new ApiError(400, message);
export const notFound = (message: string): ApiError => new ApiError(404, message);
export const conflict = (message: string): ApiError => new ApiError(409, message);

/** Docker's own word for what an engine cannot do. */
export const notSupported = (message: string): ApiError => new ApiError(501, message);

export function noSuchContainer(name: string): ApiError {
  return notFound(`No such container: ${name}`);
}
