package ops

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server answers. It is used by any goroutine once it is made.
type Server struct {
	Source  *Source
	Metrics *Metrics
	Pprof   func() bool // whether profiles are served now
	Log     *slog.Logger
}

// maxScrapes bounds the scrapes at once: one walks all receivers.
const maxScrapes = 4

const index = `mpush

/healthz   200 while the relay lives, else 503
/readyz    200 while all channels run and messages are accepted, else 503; the reasons as JSON
/metrics   for Prometheus
`

const profiles = `/debug/pprof/   Go's profiles
`

// Handler is what the endpoint serves.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		text := index
		if s.Pprof() {
			text += profiles
		}
		answer(w, http.StatusOK, text)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if part := s.alive(r.Context()); part.Ready {
			answer(w, http.StatusOK, "ok\n")
		} else {
			answer(w, http.StatusServiceUnavailable, part.Reason+"\n")
		}
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ready := s.readiness(r.Context())
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(statusOf(ready.Ready))
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(ready) // else the client has left
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: maxScrapes, CoalesceGather: true,
	}))
	mux.Handle("/debug/pprof/", s.whenOn(http.HandlerFunc(pprof.Index)))
	for name, handler := range map[string]http.HandlerFunc{
		"cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.Handle("/debug/pprof/"+name, s.whenOn(handler))
	}
	return noRebinding(mux)
}

// whenOn hides profiles while they are switched off.
func (s *Server) whenOn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.Pprof() {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// noRebinding keeps web pages from asking on loopback under a name of theirs that
// they have made mean this machine.
func noRebinding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.Trim(host, "[]")
		if local != nil && local.IP.IsLoopback() && net.ParseIP(host) == nil && !strings.EqualFold(host, "localhost") {
			answer(w, http.StatusForbidden, "ask for an address or for localhost\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // else the client has left
}
