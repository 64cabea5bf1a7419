// The words of a line of PXL, by what they are; only for their colours: the assembler judges.

const WORD = new RegExp(
  [
    String.raw`(?<comment>;.*$|^\s*#.*$)`,
    String.raw`(?<string>"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*')`,
    String.raw`(?<colour>#[0-9a-fA-F]{6}\b)`,
    String.raw`(?<label>[A-Za-z_][\w]*:)`,
    String.raw`(?<directive>\.[A-Za-z]+)`,
    String.raw`(?<word>[A-Za-z_]\w*)`,
    String.raw`(?<rest>[^\s;"'#.A-Za-z_]+|.)`,
  ].join("|"),
  "gd",
);

/** TXT with two coordinates takes the rest of the line as it is, unless that is quoted or a place. */
const RAW = /^\s*(?:[A-Za-z_]\w*:\s*)?TXT\s+[^\s;"]+\s+[^\s;"]+\s+(?=[^\s"@;])([^;]*)/i;

/** The parts of a line as [first, end, kind], in order; what is in none is plain. */
export function parts(line) {
  const found = [];
  const raw = RAW.exec(line);
  const letters =
    raw && !/^\s*r\d+\s+r\d+\s*$/.test(raw[1])
      ? [raw[0].length - raw[1].length, raw[0].length]
      : null;
  let first = true; // a word here is an operation
  if (line.length > 2000) return found; // nobody reads it
  for (const match of line.matchAll(WORD)) {
    const [kind, text] = Object.entries(match.groups).find(([, text]) => text !== undefined);
    const at = match.index;
    if (letters && at >= letters[0] && at < letters[1]) continue;
    if (kind === "word") {
      if (first) found.push([at, at + text.length, "operation"]);
      first = false;
    } else if (kind === "directive") {
      if (first) found.push([at, at + text.length, kind]);
      first = false;
    } else if (kind !== "rest") {
      found.push([at, at + text.length, kind]);
    }
  }
  if (letters) found.push([...letters, "string"]);
  return found.sort((a, b) => a[0] - b[0]);
}
