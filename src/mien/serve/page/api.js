/** Send one photo and return its analysis; handles the token, a busy server and a lost connection. */

import { connection } from "./connection.js";
import { t } from "./i18n.js";
import { askToken, token } from "./token.js";
import { pageError, responseError } from "./words.js";

const MAX_RETRIES = 5; // while the server is busy
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/**
 * Return the analysis of `file` in the form of the package's `Analysis.to_dict`.
 *
 * @param {File} file the photo.
 * @param {(status: string) => void} onStatus is called with a sentence whenever the photo has to wait.
 * @param {AbortSignal} signal cancels the request, also while it waits.
 * @throws {PageError} where the photo cannot be analyzed; the reason of `signal` where that was aborted.
 */
export async function analyze(file, onStatus, signal) {
  await checkReadable(file);
  for (let retries = 0, failures = 0; ; ) {
    signal.throwIfAborted();
    const usedToken = token();
    onStatus(t("card.analyzing"));
    const response = await post(file, usedToken, signal);
    signal.throwIfAborted();
    if (response === null) {
      const online = await connection.check();
      signal.throwIfAborted();
      if (online) {
        if (++failures > 1) throw pageError("error.connection", {}, true);
        continue;
      }
      onStatus(t("card.offline"));
      await connection.waitUntilOnline();
    } else if (response.status === 401) {
      onStatus(t("card.token"));
      await askToken(usedToken);
    } else if (response.status === 503 && ++retries <= MAX_RETRIES) {
      onStatus(t("card.busy"));
      await sleep(Math.min(Number(response.headers.get("Retry-After")) || 1, 10));
    } else {
      const analysis = await parse(response);
      signal.throwIfAborted();
      return analysis;
    }
  }
}

function post(file, usedToken, signal) {
  const form = new FormData();
  form.append("files", file, file.name);
  const headers = usedToken === null ? {} : { Authorization: `Bearer ${usedToken}` };
  return connection.fetch("/v1/analyze", { method: "POST", body: form, headers, signal });
}

async function parse(response) {
  const body = await response.json().catch(() => null);
  if (!response.ok || !body?.results?.length) throw responseError(response.status, body);
  const [analysis] = body.results;
  if (analysis.error) {
    throw responseError(response.status, { error: { code: "unreadable_image", message: analysis.error } });
  }
  return analysis;
}

/** Reject folders, deleted files and empty files before anything is sent. */
async function checkReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw pageError("error.file");
  }
  if (!file.size) throw pageError("error.empty");
}
