package main

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"

	"mpush/core/config"
)

// logging is the program's log on stderr. Level and format may be changed while
// it is in use.
type logging struct {
	level slog.LevelVar
	json  atomic.Bool
}

func (l *logging) set(c config.Log) {
	l.level.Set(c.Level)
	l.json.Store(c.Format == "json")
}

func (l *logging) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: &l.level}
	return slog.New(&twofold{&l.json, slog.NewTextHandler(os.Stderr, options), slog.NewJSONHandler(os.Stderr, options)})
}

// twofold writes each record in the format of the moment.
type twofold struct {
	isJSON     *atomic.Bool
	text, json slog.Handler
}

var _ slog.Handler = (*twofold)(nil)

// Enabled tells whether records of a level are written.
func (h *twofold) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

// Handle writes a record.
func (h *twofold) Handle(ctx context.Context, r slog.Record) error {
	if h.isJSON.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

// WithAttrs returns a handler that adds attributes.
func (h *twofold) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &twofold{h.isJSON, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

// WithGroup returns a handler that puts what follows into a group.
func (h *twofold) WithGroup(name string) slog.Handler {
	return &twofold{h.isJSON, h.text.WithGroup(name), h.json.WithGroup(name)}
}
