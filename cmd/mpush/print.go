package main

import (
	"bytes"
	"encoding/json"
	"io"
	"text/tabwriter"
)

// printJSON shows a value to scripts.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printTable shows what table writes, its columns in line. It is written at once:
// piece by piece, "mpush status | grep -q" would be killed by SIGPIPE now and then,
// which fails a script with pipefail.
func printTable(out io.Writer, table func(w io.Writer)) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	table(w)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := out.Write(b.Bytes())
	return err
}
