// Calls of the REST API. The session travels in a cookie that scripts cannot read.

// Problem is an answer that is not a success: the API's problem+json, or no answer at all, which
// has the code "network".
export class Problem extends Error {
  constructor(code, detail, body = {}) {
    super(detail || code);
    this.code = code;
    this.fields = body.errors ?? [];
    this.changes = body.changes ?? [];
    this.status = body.status ?? 0;
  }

  // unknown says that the platform may or may not have done what was asked.
  get unknown() {
    return this.code === 'network' || this.code === 'unavailable' || this.code === 'internal';
  }

  // judged says that the platform has looked at the request under its key and refused it. Every other
  // answer, an ended session for one, leaves open what an earlier try with the same key has done.
  get judged() {
    return judgements.has(this.code);
  }
}

const judgements = new Set(['invalid', 'too_large', 'not_found', 'conflict', 'insufficient_funds', 'limit_reached', 'price_changed', 'suspended']);

// newKey makes an idempotency key.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((b) => b.toString(16).padStart(2, '0')).join('')}`;
}

// call returns the JSON of the answer; undefined for an empty one.
export async function call(method, path, { body, key, timeout = 15000 } = {}) {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  let answer;
  let text;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(timeout),
    });
    text = await answer.text();
  } catch {
    throw new Problem('network', 'No answer from the platform.');
  }
  let data;
  try {
    data = text ? JSON.parse(text) : undefined;
  } catch {
    throw new Problem('internal', 'The platform answered in a way this page does not understand.');
  }
  if (!answer.ok) {
    throw new Problem(data?.code ?? 'internal', data?.detail, { ...data, status: answer.status });
  }
  return data;
}

// insist repeats a call whose outcome is unknown, with its key, a few times. The platform does the
// same key's request once, however often it arrives.
export async function insist(method, path, options) {
  for (let wait = 400; ; wait *= 2) {
    try {
      return await call(method, path, options);
    } catch (problem) {
      if (!problem.unknown || wait > 4000) throw problem;
      await new Promise((done) => setTimeout(done, wait + Math.random() * 200));
    }
  }
}

// messages are the codes as people read them.
export const messages = {
  insufficient_funds: 'Your balance is too low for this bet.',
  limit_reached: 'This is over a limit.',
  suspended: 'This market takes no bets at the moment.',
  price_changed: 'The price has changed.',
  excluded: 'Your account may not bet at the moment.',
  geo_blocked: 'You are not where your account allows you to bet.',
  rate_limited: 'Too many requests. Wait a little, then try again.',
  unauthenticated: 'Your session has ended. Sign in again.',
  forbidden: 'You are not allowed to do this.',
  not_found: 'This is no longer on offer.',
  conflict: 'This was answered before in another way. Check your bets.',
  unavailable: 'The platform is busy. Nothing is lost: try again.',
  network: 'No connection to the platform.',
  internal: 'Something went wrong on our side.',
};

// explain says what a problem means.
export function explain(problem) {
  const field = problem.fields?.[0]?.message;
  if (problem.code === 'invalid') return field || problem.message;
  const specific = ['limit_reached', 'suspended', 'excluded'].includes(problem.code) ? problem.message : '';
  return specific && specific !== problem.code ? sentence(specific) : messages[problem.code] ?? problem.message;
}

function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
