// The same from a shell or a page of one's own, for what is on screen. No token is written out.

const shellWord = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const scriptWord = (text) => JSON.stringify(text).replaceAll("<", "\\u003c");
const SHELL_TOKEN = ' \\\n  -H "authorization: Bearer $RUNNEL_TOKEN"';

const publishWithCurl = ({ target, type, format, data }) => `curl -i ${shellWord(publishUrl(target, format === BATCH ? "" : type))}${SHELL_TOKEN} \\
  -H ${shellWord(`content-type: ${format}`)} \\
  ${data.length > 2_000 ? "--data-binary @event" : `--data-binary ${shellWord(data)}`}`;

const SNIPPETS = {
  "snippet-curl": ({ url, needsToken }) => `curl -N ${shellWord(url)}${needsToken ? SHELL_TOKEN : ""}`,

  "snippet-script": ({ url, types, needsToken }) =>
    `${needsToken ? "// An EventSource sends no header: have your server set\n// the token as the cookie runnel_token.\n" : ""}const events = new EventSource(
  ${scriptWord(url)});
const show = (event) =>
  console.log(event.lastEventId, event.type, event.data);
for (const type of [${[...types, "runnel.gap"].map(scriptWord).join(", ")}])
  events.addEventListener(type, show);
events.addEventListener("runnel.end", () => events.close());`,

  "snippet-publish": publishWithCurl,
  "snippet-first": publishWithCurl,
};

function drawSnippets(shown) {
  for (const [id, text] of Object.entries(SNIPPETS)) setText($(id), text(shown));
}
