/** One photo to the server and its analysis back, whatever lies between: a token, a queue, a server that went away. */

import { link } from "./link.js";
import { askToken, token } from "./token.js";
import { refusal, Trouble } from "./words.js";

const BUSY = 5; // times that a full queue is waited for
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

/**
 * What is read in `file`, as `Analysis.to_dict` of the package.
 *
 * @param {File} file a photo.
 * @param {(state: string) => void} tell is called with a sentence whenever there is something to wait for.
 * @param {AbortSignal} signal ends it, on the way or in any wait: nothing more is sent or told.
 * @throws {Trouble} where it cannot be read; what `signal` was aborted with, where it was.
 */
export async function analyze(file, tell, signal) {
  await readable(file);
  for (let busy = 0, broken = 0; ; ) {
    signal.throwIfAborted();
    const used = token();
    tell("Reading …");
    const answer = await post(file, used, signal);
    signal.throwIfAborted();
    if (answer === null) {
      const there = await link.answers();
      signal.throwIfAborted();
      if (there) {
        if (++broken > 1) throw new Trouble("The server broke off while the photo was on its way.", "It may be too large.", true);
        continue;
      }
      tell("Waiting for the server to come back.");
      await link.lost();
    } else if (answer.status === 401) {
      tell("Waiting for the token.");
      await askToken(used);
    } else if (answer.status === 503 && ++busy <= BUSY) {
      tell("The server is busy; the photo waits its turn.");
      await pause(Math.min(Number(answer.headers.get("Retry-After")) || 1, 10));
    } else {
      const analysis = await result(answer);
      signal.throwIfAborted();
      return analysis;
    }
  }
}

function post(file, used, signal) {
  const form = new FormData();
  form.append("files", file, file.name);
  const headers = used === null ? {} : { Authorization: `Bearer ${used}` };
  return link.ask("/v1/analyze", { method: "POST", body: form, headers, signal });
}

async function result(answer) {
  const body = await answer.json().catch(() => null);
  if (!answer.ok || !body?.results?.length) throw refusal(answer.status, body);
  const [analysis] = body.results;
  if (analysis.error) throw refusal(answer.status, { error: { code: "unreadable_image", message: analysis.error } });
  return analysis;
}

/** A folder that was dropped, or a file that went away, says so before anything is sent. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Trouble("The browser cannot open this file.", "Is it a folder? Drop the photos in it instead.");
  }
  if (!file.size) throw new Trouble("This file is empty.", "It may not have been downloaded or copied to its end.");
}
