package hostile

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// TestSlowHTTPTestTakesNobodysService runs a tool that is made to take a web
// server down, in each of its ways at once.
func TestSlowHTTPTestTakesNobodysService(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("slowhttptest")
	if err != nil {
		t.Skip("needs slowhttptest: apt-get install slowhttptest")
	}
	w := startWitness(t, harness.Object{"http": harness.Object{"headerTimeout": 2000, "readTimeout": 4000}})
	url := "http://" + w.Address(t, "http") + "/" + victim + ".nothing"
	ways := map[string][]string{
		"slow headers": {"-H", "-i", "1"},
		"slow body":    {"-B", "-i", "1", "-s", "8192"},
		"ranges":       {"-R", "-a", "5", "-b", "3000"},
		"slow read":    {"-X", "-k", "3", "-n", "1", "-z", "4", "-w", "1", "-y", "64"},
	}
	type result struct {
		way    string
		output string
		err    error
	}
	results := make(chan result, len(ways))
	for way, arguments := range ways {
		// 300 connections, 150 a second, for 8 s at most; its own probe of the
		// service may take 5 s.
		arguments = append(arguments, "-c", "300", "-r", "150", "-l", "8", "-p", "5", "-u", url)
		command := exec.CommandContext(t.Context(), tool, arguments...)
		var output bytes.Buffer
		command.Stdout, command.Stderr = &output, &output
		command.WaitDelay = harness.Patience
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			err := command.Wait()
			results <- result{way, output.String(), err}
		}()
	}
	began, slowest := time.Now(), time.Duration(0)
	for left := len(ways); left > 0; {
		select {
		case r := <-results:
			left--
			if r.err != nil || !strings.Contains(r.output, "Test ended on") {
				t.Errorf("%s: %v\n%s", r.way, r.err, r.output)
			}
		default:
			before := time.Now()
			w.served(t)
			slowest = max(slowest, time.Since(before))
		}
	}
	t.Logf("over %v nobody waited longer than %v", time.Since(began).Round(time.Second), slowest.Round(time.Millisecond))
	w.unharmed(t)
}
