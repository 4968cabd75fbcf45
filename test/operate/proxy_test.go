package operate

import (
	"crypto/tls"
	"fmt"
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

// proxied sends and receives through a proxy at an address, as clients that trust
// the authority, and sees that the relay counts the client that the proxy names:
// here loopback, whatever the client itself says.
func proxied(t *testing.T, r *harness.Relay, authority *ca.Authority, address string) {
	t.Helper()
	answering(t, address)
	address = strings.Replace(address, "127.0.0.1", "localhost", 1) // the name that is served
	trust := &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"}
	dialer := websocket.Dialer{HandshakeTimeout: harness.Patience, TLSClientConfig: trust.Clone()}
	forged := http.Header{"X-Forwarded-For": {"198.51.100.7"}}
	ws, response, err := dialer.Dial("wss://"+address+"/ws", forged)
	if err != nil {
		t.Fatalf("%v %+v", err, response)
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(harness.Patience))
	receive := func(want string) {
		t.Helper()
		if _, text, err := ws.ReadMessage(); err != nil || !strings.Contains(string(text), want) {
			t.Fatalf("received %s, %v, want %s", text, err, want)
		}
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(harness.AuthPacket(r.Token, "wsphone", ""))); err != nil {
		t.Fatal(err)
	}
	receive(`"code":200`)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}, Timeout: harness.Patience}
	// One message may come at once from an address that is not loopback, and the
	// forged one would be such.
	for i := range 3 {
		text := fmt.Sprint("message ", i)
		// A name that begins as the receivers' path does is a sender's all the same.
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/wsphone.send", strings.NewReader("text="+strings.ReplaceAll(text, " ", "+")))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = forged.Clone()
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if text := body(t, answer.Body); answer.StatusCode != http.StatusOK || !strings.Contains(text, `"wsphone"`) {
			t.Fatalf("%d %s", answer.StatusCode, text)
		}
		if i == 0 {
			receive(text)
		}
	}
}

// relay is one behind a proxy: who comes from elsewhere may send one message.
func relay(t *testing.T) *harness.Relay {
	t.Helper()
	return harness.Start(t, harness.Object{
		"http":   harness.Object{"waitTimeout": 500},
		"limits": harness.Object{"publishRate": 1, "publishBurst": 1},
	})
}

// counted sees that an address that a trusted proxy names is counted at all, or
// proxied would show nothing.
func counted(t *testing.T, r *harness.Relay) {
	t.Helper()
	// Not if each takes longer than a second.
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Address(t, "http")+"/other.send?text=x", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Forwarded-For", "198.51.100.7")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = body(t, answer.Body)
		if answer.StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("an address behind the proxy is not counted")
}

func TestNginxPassesBothChannelsOn(t *testing.T) {
	nginx := need(t, "nginx", "nginx-light")
	r, authority, dir := relay(t), ca.New(t), harness.Dir(t)
	authority.Issue(t, "localhost", time.Hour).Write(t, dir)
	address := fmt.Sprint("127.0.0.1:", harness.ReservePort(t))
	part := strings.NewReplacer(
		"listen 443 ssl;", "listen "+address+" ssl;", "listen [::]:443 ssl;", "",
		"127.0.0.1:9093", r.Address(t, "http"), "127.0.0.1:9094", r.Address(t, "websocket"),
		"push.example.com;", "localhost;",
		"/etc/letsencrypt/live/push.example.com/fullchain.pem", dir+"/cert.pem",
		"/etc/letsencrypt/live/push.example.com/privkey.pem", dir+"/key.pem",
	).Replace(read(t, "nginx.conf"))
	whole := fmt.Sprintf("daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log stderr;\nevents {}\nhttp { access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n%[2]s\n}\n", dir, part)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(nginx, "-e", "stderr", "-p", dir, "-c", path)
	command.Stderr = &strings.Builder{}
	run(t, command)
	proxied(t, r, authority, address)
	counted(t, r)
}

func TestCaddyPassesBothChannelsOn(t *testing.T) {
	caddy := need(t, "caddy", "caddy")
	r, authority, dir := relay(t), ca.New(t), harness.Dir(t)
	authority.Issue(t, "localhost", time.Hour).Write(t, dir)
	address := fmt.Sprint("127.0.0.1:", harness.ReservePort(t))
	part := strings.NewReplacer(
		"push.example.com {", fmt.Sprintf("https://localhost:%s {\n\tbind 127.0.0.1\n\ttls %s/cert.pem %s/key.pem", strings.TrimPrefix(address, "127.0.0.1:"), dir, dir),
		"127.0.0.1:9093", r.Address(t, "http"), "127.0.0.1:9094", r.Address(t, "websocket"),
	).Replace(read(t, "Caddyfile"))
	path := filepath.Join(dir, "Caddyfile")
	whole := "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + part
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(caddy, "run", "--adapter", "caddyfile", "--config", path)
	command.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	command.Stderr = &strings.Builder{}
	run(t, command)
	proxied(t, r, authority, address)
	counted(t, r)
}
