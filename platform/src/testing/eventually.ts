/** Tries until the expectation holds; throws its last failure after limitMs. */
export async function eventually<T>(expectation: () => Promise<T> | T, limitMs = 10_000): Promise<T> {
  const end = Date.now() + limitMs;
  for (;;) {
    try {
      return await expectation();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}
