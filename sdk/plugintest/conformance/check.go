package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Check is one thing that a plugin has to do right.
type Check struct {
	// Name is short and does not change.
	Name string
	// Shows is what it means that it passed, a sentence.
	Shows string

	needs   []string // names of checks that must have passed
	wants   []string // names of checks that must not have failed
	process bool     // takes a process of its own
	run     func(ctx context.Context, k *Kit) error
}

// Checks are all checks in the order in which they are best run.
func Checks() []Check {
	return slices.Concat(describing(), configuring(), beginning(), traffic(), taking(), garbage(), wear(), ending())
}

// Status is what became of a check.
type Status string

// What becomes of a check.
const (
	Passed  Status = "pass"
	Failed  Status = "fail"
	Skipped Status = "skip"
)

// Result is what a check has found.
type Result struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Reason says what is wrong and what to do about it, or why the check was
	// skipped.
	Reason string `json:"reason,omitempty"`
	// Notes are remarkable, whatever the status.
	Notes []string `json:"notes,omitempty"`
	// Output is the end of what a plugin that failed has written on stdout and
	// stderr.
	Output string `json:"output,omitempty"`
	// Took is for how long it ran, without the checks that it needs.
	Took time.Duration `json:"tookNanoseconds"`
}

// skipError ends a check without a verdict.
type skipError struct{ reason string }

func (e *skipError) Error() string { return e.reason }

func skip(format string, args ...any) error {
	return &skipError{fmt.Sprintf(format, args...)}
}

// Run runs one check, and before it what it needs, each once in the Kit's life.
func (k *Kit) Run(ctx context.Context, c Check) Result {
	if result, ok := k.results[c.Name]; ok {
		return result
	}
	result := k.judge(ctx, c)
	k.results[c.Name] = result
	return result
}

// Failed are the results of the checks that have failed so far, of those too that
// ran since another needs them.
func (k *Kit) Failed() []Result {
	var failed []Result
	for _, c := range Checks() {
		if result, ran := k.results[c.Name]; ran && result.Status == Failed {
			failed = append(failed, result)
		}
	}
	return failed
}

func (k *Kit) judge(ctx context.Context, c Check) Result {
	result := Result{Check: c.Name, Status: Skipped}
	if c.process && !k.target.isProcess() {
		result.Reason = "it takes an executable: this plugin runs in the kit's own process"
		return result
	}
	for _, name := range slices.Concat(c.needs, c.wants) {
		needed := k.Run(ctx, find(name))
		switch {
		case needed.Status == Failed:
			result.Reason = fmt.Sprintf("it needs %q, which failed", name)
			return result
		case needed.Status == Skipped && slices.Contains(c.needs, name):
			result.Reason = fmt.Sprintf("it needs %q, which was skipped", name)
			return result
		}
	}
	began := time.Now()
	k.notes = nil
	err := c.run(ctx, k)
	result.Took = time.Since(began)
	result.Notes = k.notes
	var skipped *skipError
	switch {
	case err == nil:
		result.Status = Passed
	case errors.As(err, &skipped):
		result.Reason = skipped.reason
	default:
		result.Status, result.Reason = Failed, err.Error()
		result.Output = k.lastWords(err)
		k.drop() // the next one begins anew
	}
	return result
}

// find returns a check by its name.
func find(name string) Check {
	all := Checks()
	i := slices.IndexFunc(all, func(c Check) bool { return c.Name == name })
	if i < 0 {
		panic("conformance: there is no check " + name)
	}
	return all[i]
}

// listed is a list in a message, shortened.
func listed(all []string) string {
	const most = 3
	if more := len(all) - most; more > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(all[:most], "; "), more)
	}
	return strings.Join(all, "; ")
}
