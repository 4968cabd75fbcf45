package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// said is what a command prints to which a message is given.
func said(t *testing.T, command string, m *incoming) string {
	t.Helper()
	var out, errs bytes.Buffer
	if err := execute(t.Context(), command, m, &out, &errs); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	return out.String()
}

func TestWhatIsTooLongForTheEnvironmentIsOnStdinAlone(t *testing.T) {
	t.Setenv("MPUSH_DESP", "of somebody else")
	m := &incoming{MID: "7"}
	m.Message.Text, m.Message.Desp = "hello", strings.Repeat("x", 200<<10)
	if got := said(t, `printf '%s %s %s ' "$MPUSH_MID" "$MPUSH_TEXT" "${MPUSH_DESP-none}"; tr -cd x | wc -c`, m); strings.Join(strings.Fields(got), " ") != "7 hello none 204802" {
		t.Errorf("the command reads %.200q", got) // two are those of text and extra
	}
	m.Message.Desp = strings.Repeat("x", maxVariable)
	if got := said(t, `printf %s "$MPUSH_DESP" | wc -c`, m); strings.TrimSpace(got) != fmt.Sprint(maxVariable) {
		t.Errorf("of %d bytes the command reads %q", maxVariable, got)
	}
}

// How much an environment holds is the system's affair, and that of ulimit -s:
// this one is filled up to the brim.
func TestCommandRunsAlsoIfAlmostNothingMoreFitsTheEnvironment(t *testing.T) {
	const step = 100 << 10
	fits := func() bool {
		err := exec.Command("sh", "-c", "true").Run()
		if err != nil && !errors.Is(err, syscall.E2BIG) {
			t.Fatal(err)
		}
		return err == nil
	}
	last := ""
	for i := 0; fits(); i++ {
		last = fmt.Sprint("FILLER_", i)
		t.Setenv(last, strings.Repeat("x", step))
	}
	t.Setenv(last, "")
	m := &incoming{MID: "7"}
	m.Message.Text, m.Message.Desp = strings.Repeat("t", step-100), strings.Repeat("d", step-200)
	m.Message.Extra = fmt.Appendf(nil, `{"e":%q}`, strings.Repeat("e", step-300))
	if got := said(t, `printf '%s %s ' "$MPUSH_MID" "${MPUSH_TEXT-none}"; wc -c`, m); !strings.HasPrefix(got, "7 none ") {
		t.Errorf("the command reads %.200q", got)
	}
}
