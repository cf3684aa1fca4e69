/** A request that HTTP itself does not allow; the kinds of AppError have no word for it. */
export class HttpRefusal extends Error {
  override readonly name = 'HttpRefusal';
  constructor(
    readonly status: 405 | 408 | 417 | 431,
    readonly reason: string,
    readonly title: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(title);
  }
}
