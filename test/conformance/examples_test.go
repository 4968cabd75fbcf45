package conformance

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mpush/sdk/plugintest"
	"mpush/sdk/plugintest/conformance"
	"mpush/test/harness"
)

// example is what a conformance.json holds.
type example struct {
	Command   []string        `json:"command"`
	Args      []string        `json:"args"`
	Config    json.RawMessage `json:"config"`
	MTLS      *bool           `json:"mtls"`
	Receivers []string        `json:"receivers"`
	Messages  int             `json:"messages"`
	Commands  []struct {
		Name string          `json:"name"`
		Data json.RawMessage `json:"data"`
	} `json:"commands"`
	Requires []struct {
		Run  []string `json:"run"`
		Hint string   `json:"hint"`
	} `json:"requires"`
}

// examples finds them, by the folder's path within the module.
func examples() (map[string]example, error) {
	paths, err := filepath.Glob("../../examples/*/conformance.json")
	if err != nil {
		return nil, err
	}
	all := make(map[string]example)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var x example
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&x); err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		all["examples/"+filepath.Base(filepath.Dir(path))] = x
	}
	return all, nil
}

// goExamples are those that have to be built. What is wrong with a file is told
// by the test.
func goExamples() (folders []string) {
	all, _ := examples()
	for folder, x := range all {
		if len(x.Command) == 0 {
			folders = append(folders, folder)
		}
	}
	return folders
}

func TestExamplesConform(t *testing.T) {
	all, err := examples()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no example has a conformance.json")
	}
	for folder, x := range all {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join("..", "..", folder)
			for _, required := range x.Requires {
				command := exec.CommandContext(t.Context(), required.Run[0], required.Run[1:]...)
				command.Dir = dir
				if err := command.Run(); err != nil {
					t.Skipf("%s: %v: %s", strings.Join(required.Run, " "), err, required.Hint)
				}
			}
			plugintest.Conform(t, x.target(t, dir))
		})
	}
}

func (x example) target(t *testing.T, dir string) plugintest.Target {
	t.Helper()
	target := plugintest.Target{
		Command: x.Command, Dir: dir, DisableMTLS: x.MTLS != nil && !*x.MTLS, Receivers: x.Receivers, Messages: x.Messages,
		Config: strings.ReplaceAll(string(x.Config), "${DIR}", harness.Dir(t)),
	}
	if len(x.Command) == 0 {
		target.Command = []string{harness.Program(t, filepath.Base(dir))}
	}
	target.Command = append(target.Command, x.Args...)
	for _, c := range x.Commands {
		target.Commands = append(target.Commands, conformance.Command{Name: c.Name, Data: string(c.Data)})
	}
	return target
}
