package control

import (
	"context"
	"net/http"
)

// Lent is a token that its bearer may log in with as one receiver, for some
// minutes, and do nothing else but receive.
type Lent struct {
	Token string `json:"token"`
}

// lend gives the owner of the data directory a token: who may read it may be
// anybody.
func (s *Server) lend(r *http.Request) (any, error) {
	var request struct {
		Name  string `json:"name"`
		Group string `json:"group"`
	}
	if err := read(r, &request); err != nil {
		return nil, err
	}
	token, err := s.Lend(request.Name, request.Group)
	if err != nil {
		return nil, badRequest("%v", err)
	}
	return Lent{token}, nil
}

// Lend returns a token by which to log in as this receiver in this group, "" being
// none, within some minutes.
func (c *Client) Lend(ctx context.Context, name, group string) (token string, err error) {
	var lent Lent
	request := struct {
		Name  string `json:"name"`
		Group string `json:"group"`
	}{name, group}
	err = c.do(ctx, http.MethodPost, "/v1/lend", request, &lent)
	return lent.Token, err
}
