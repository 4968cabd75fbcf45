package e2e

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/test/ca"
	"mpush/test/harness"
)

// An operator without a proxy names certificate files, relative to the config
// file, and a renewal needs neither a reload nor a new connection.
func TestCertificateFilesAreServedAndRenewed(t *testing.T) {
	t.Parallel()
	authority := ca.New(t)
	files := harness.Object{"cert": "tls/cert.pem", "key": "tls/key.pem"}
	r := harness.New(t, harness.Object{"http": harness.Object{"tls": files, "waitTimeout": 500}, "websocket": harness.Object{"tls": files}})
	dir := filepath.Join(r.Dir, "tls")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	authority.Issue(t, "first", time.Hour).Write(t, dir)
	authority.Root(t, filepath.Join(r.Dir, "root.pem"))
	r.Start(t)
	https, wss := r.Address(t, "http"), r.Address(t, "websocket")
	if !strings.HasPrefix(https, "https://127.0.0.1:") || !strings.HasPrefix(wss, "wss://127.0.0.1:") {
		t.Fatalf("addresses %s, %s", https, wss)
	}

	trust := func() *tls.Config { return &tls.Config{RootCAs: authority.Pool()} }
	dialer := websocket.Dialer{HandshakeTimeout: harness.Patience, TLSClientConfig: trust()}
	phone, response, err := dialer.Dial(wss+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	defer phone.Close()
	says := func(frame, want string) {
		t.Helper()
		if frame != "" {
			if err := phone.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
				t.Fatal(err)
			}
		}
		_ = phone.SetReadDeadline(time.Now().Add(harness.Patience))
		_, text, err := phone.ReadMessage()
		if err != nil || !strings.Contains(string(text), want) {
			t.Fatalf("received %s, %v, want %s", text, err, want)
		}
	}
	says(harness.AuthPacket(r.Token, "phone", ""), `"code":200`)
	r.Command(t, nil, "listen", "--name", "tablet", "--data", "data").WaitStderr(t, "tablet is listening")

	// get sends over a new connection and tells whose certificate was shown.
	get := func(target string) (name string) {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: trust()}
		defer transport.CloseIdleConnections()
		client := http.Client{Transport: transport, Timeout: harness.Patience}
		response, err := client.Get(https + target)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"phone"`) {
			t.Fatalf("%d %s, %v", response.StatusCode, body, err)
		}
		return response.TLS.PeerCertificates[0].Subject.CommonName
	}
	if name := get("/phone.send?text=one&desp="); name != "first" {
		t.Errorf("the certificate of %s", name)
	}
	says("", `"text":"one"`)

	authority.Issue(t, "second", time.Hour).Write(t, dir)
	for deadline := time.Now().Add(harness.Patience); get("/phone.send?text=again") != "second"; {
		if time.Now().After(deadline) {
			t.Fatalf("the renewed certificate is not served\n%s", r.Log())
		}
	}
	// The socket from before is the one that receives.
	if err := phone.WriteMessage(websocket.TextMessage, []byte(`{"cmd":"PING","data":""}`)); err != nil {
		t.Fatal(err)
	}
	for {
		_ = phone.SetReadDeadline(time.Now().Add(harness.Patience))
		_, text, err := phone.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "PONG") {
			break
		}
	}
	if path, err := exec.LookPath("curl"); err == nil {
		out, err := exec.CommandContext(t.Context(), path, "--silent", "--show-error", "--fail", "--noproxy", "*",
			"--cacert", filepath.Join(r.Dir, "root.pem"), https+"/phone.send?text=curl").CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"phone"`) {
			t.Errorf("curl: %s, %v", out, err)
		}
	}
}

func TestCertificateThatIsNotThereIsAFaultOfItsKey(t *testing.T) {
	t.Parallel()
	result := check(t, "{\n  \"websocket\": {\n    \"tls\": {\"cert\": \"cert.pem\", \"key\": \"key.pem\"}\n  }\n}")
	if result.Code != 1 || !hasLine(result.Stderr, "config.json:3:13", "websocket.tls.cert", "cert.pem", "no such file") {
		t.Errorf("exit %d\n%s", result.Code, result.Stderr)
	}
}
