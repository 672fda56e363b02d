// The live stream: GET /v1/live. Listeners get the parsed data of an event's type; "again" is told
// after a connection was lost, because what happened meanwhile has to be read anew.

const listeners = new Map();

export function on(type, fn) {
  if (!listeners.has(type)) listeners.set(type, []);
  listeners.get(type).push(fn);
}

function emit(type, data) {
  for (const fn of listeners.get(type) ?? []) fn(data);
}

const types = ['balance', 'bet', 'price', 'market', 'score'];

export function connect() {
  const page = document.body.dataset;
  const query = 'signedIn' in page ? '' : `?jurisdiction=${encodeURIComponent(page.jurisdiction)}`;
  const dot = document.getElementById('linkdot');
  let hellos = 0;
  let source;

  const show = (state, title) => {
    if (!dot) return;
    dot.dataset.state = state;
    dot.title = title;
  };

  const open = () => {
    source = new EventSource(`/v1/live${query}`);
    source.addEventListener('hello', () => {
      show('open', 'Live');
      if (hellos++ > 0) emit('again');
    });
    for (const type of types) {
      source.addEventListener(type, (event) => emit(type, JSON.parse(event.data)));
    }
    source.onerror = () => {
      show('retry', 'Reconnecting');
      // After an error status the browser gives up; we do not.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2500 + Math.random() * 1500);
    };
  };
  open();
  addEventListener('pagehide', () => source.close());
  addEventListener('pageshow', (event) => {
    if (event.persisted) open();
  });
}
