// The server, as any client asks it.

/** What the server, or the way to it, answers instead of an answer. */
export class Failure extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options, key) {
  const headers = { ...(key && { Authorization: `Bearer ${key}` }), ...(options.body && { 'Content-Type': 'application/json' }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (e) {
    throw e.name === 'AbortError' ? e : new Failure('The server does not answer.');
  }
  if (!response.ok) {
    const text = await response.text();
    let message;
    try {
      message = JSON.parse(text).error.message;
    } catch {
      message = `The server answered with status ${response.status}.`;
    }
    throw new Failure(message, response.status);
  }
  return response;
}

/** The one model that is served. */
export async function servedModel(key) {
  return (await (await ask('v1/models', {}, key)).json()).data[0];
}

/** The events of an answer, as they come. */
export async function* events(path, body, key, signal) {
  const response = await ask(path, { method: 'POST', body: JSON.stringify(body), signal }, key);
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let text = '';
  while (true) {
    let piece;
    try {
      piece = await reader.read();
    } catch (e) {
      throw e.name === 'AbortError' ? e : new Failure('The connection broke off.');
    }
    if (piece.done) {
      throw new Failure('The answer broke off.');
    }
    text += decoder.decode(piece.value, { stream: true });
    const lines = text.split('\n');
    text = lines.pop();
    for (const line of lines) {
      if (line === 'data: [DONE]') {
        return;
      }
      if (line.startsWith('data: ')) {
        const event = JSON.parse(line.slice(6));
        if (event.error) {
          throw new Failure(event.error.message);
        }
        yield event;
      }
    }
  }
}
