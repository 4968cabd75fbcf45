package sdk_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"mpush/sdk"
	"mpush/sdk/plugintest"
)

// try runs a plugin with the core of package plugintest, as its test does. In a
// program of its own a plugin's main is one line: sdk.Serve(&plugin{}).
func try(plugin sdk.Plugin, o plugintest.Options) (core *plugintest.Core, end func()) {
	t := &exampleT{}
	return plugintest.Start(t, plugin, o), t.end
}

// exampleT stands in for the test that an example has not.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (*exampleT) Helper()                   {}
func (*exampleT) Context() context.Context  { return context.Background() }
func (t *exampleT) Cleanup(f func())        { t.cleanups = append(t.cleanups, f) }
func (*exampleT) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }
func (*exampleT) Fatalf(f string, a ...any) { fmt.Printf(f+"\n", a...); os.Exit(1) }

func (t *exampleT) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}
