package fakepush

import (
	"io"
	"net/http"
)

// Answer is what the service answers a push.
type Answer struct {
	Status int // 0 stands for 201
	Header map[string]string
	Body   string
	// Until holds the answer back until it is closed, or the client is gone.
	Until <-chan struct{}
	// Reset closes the connection instead; with HTTP/2 the stream alone.
	Reset bool
}

// give answers the request.
func (a Answer) give(w http.ResponseWriter, r *http.Request, closing <-chan struct{}) {
	if a.Until != nil {
		select {
		case <-a.Until:
		case <-r.Context().Done():
			return
		case <-closing:
		}
	}
	if a.Reset {
		panic(http.ErrAbortHandler)
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	io.WriteString(w, a.Body) // the client may be gone
}

// script is a list of answers, then one for good.
type script struct {
	once   []Answer
	always *Answer
}

// next takes the script's next answer.
func (s *script) next() (a Answer, ok bool) {
	switch {
	case len(s.once) > 0:
		a, s.once = s.once[0], s.once[1:]
	case s.always != nil:
		a = *s.always
	default:
		return Answer{}, false
	}
	return a, true
}

// Script has the next pushes, to whatever subscription, answered so, in order of
// arrival, and what comes after them as before.
func (s *Server) Script(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script.once = append(s.script.once, answers...)
}

// Always has pushes answered so from now on, where no Script says otherwise.
func (s *Server) Always(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script.always = &a
}

// Script is as that of the server, for this subscription; it comes first.
func (s *Subscription) Script(answers ...Answer) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.script.once = append(s.script.once, answers...)
}

// Always is as that of the server, for this subscription; it comes first.
func (s *Subscription) Always(a Answer) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.script.always = &a
}

// answerFor is the answer to the next push to a subscription.
func (s *Server) answerFor(subscription *Subscription) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := subscription.script.next()
	if !ok {
		a, _ = s.script.next()
	}
	if a.Status == 0 {
		a.Status = http.StatusCreated
	}
	return a
}
