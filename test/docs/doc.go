// Package docs does what the pages of the documents say: every block of code in
// README.md and below docs/ is run, is checked, or carries a mark that says why it
// is not. A page is read from its head to its end by one shell (mpush/test/shell)
// in an empty folder, or in a copy of the repository where the page asks for one;
// mpush and the example receiver are in its PATH.
//
// Without a mark, what becomes of a block is said by the word behind its fence:
//
//   - sh, python, js: it is run and must succeed. A MESSAGE_REPLY that says "no",
//     and an INFO, are failures, unless the page shows what is printed
//   - crontab: what its lines have behind the five fields is run
//   - powershell: it is run where there is pwsh; elsewhere its addresses and its
//     JSON are checked
//   - json: it is JSON. jsonc: mpush check takes it as a configuration, or as
//     sections of one. yaml: it can be read. go: it can be parsed
//   - behind a line that ends with "prints" or "prints:": the lines that the block
//     before printed, in this order, perhaps with others between them; … stands
//     for anything, and 13 digits for any mid
//
// Marks are comments, which a rendered page does not show, on the lines before the
// fence:
//
//   - <!-- not run: WHY -->, and <!-- later: WHAT IT WAITS FOR -->. A list of
//     these is printed
//   - <!-- terminal: TEXT --> runs the block in the background and waits until it
//     has printed TEXT. Its output is in the file terminal1.log, terminal2.log, …
//   - <!-- file: NAME --> writes the block to a file
//   - <!-- insert: TEXT --> puts it into config.json, behind the line with TEXT
//   - <!-- prints --> is the same as the word in the text
//   - <!-- message --> is what mpush says when something is wrong: each line must
//     be in its source, … standing for what is not
//
// <!-- test: COMMANDS --> stands anywhere and is run by the shell: what a reader
// has done before, or what shows that a block has done what the page says. The
// shell has some functions for that, in prelude.sh. <!-- tutorial --> means that
// mpush/test/tutorial runs the page's commands.
//
// In what is run the mid 1596543210123 is $MID: the last one that was printed. And
// /tmp is a folder of the page's own.
package docs
