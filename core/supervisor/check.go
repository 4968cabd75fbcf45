package supervisor

import (
	"context"
	"errors"
	"os"
	"sync"

	"mpush/sdk/pluginpb"
)

// CheckResult is what Check found out about one channel.
type CheckResult struct {
	Channel string
	// Manifest is nil if the plugin could not be asked.
	Manifest *pluginpb.DescribeResponse
	// Err is why the channel would not run, nil if nothing is wrong so far.
	Err error
}

// Check starts each plugin, makes the calls that have no side effects and ends
// it again. It neither needs nor disturbs channels that run, here or in another
// process. The owner's calls are as in a channel's life; results are in the
// order of specs.
func (s *Supervisor) Check(ctx context.Context, specs []Spec, owner Configurer) ([]CheckResult, error) {
	if len(specs) == 0 {
		return nil, ctx.Err()
	}
	dir, done, err := s.passing()
	if err != nil {
		return nil, err
	}
	defer done()
	results := make([]CheckResult, len(specs))
	var all sync.WaitGroup
	for i, spec := range specs {
		all.Go(func() {
			manifest, err := s.checkOne(ctx, spec, dir, owner)
			if err != nil && s.opts.Redact(err.Error()) != err.Error() {
				err = errors.New(s.opts.Redact(err.Error()))
			}
			results[i] = CheckResult{Channel: spec.Channel, Manifest: manifest, Err: err}
		})
	}
	all.Wait()
	return results, ctx.Err()
}

// Describe starts a plugin, asks what it says of itself and ends it again.
func (s *Supervisor) Describe(ctx context.Context, spec Spec) (*pluginpb.DescribeResponse, error) {
	if spec.Reattach != "" {
		return nil, errors.New("it is reattached: its one life is not for asking")
	}
	dir, done, err := s.passing()
	if err != nil {
		return nil, err
	}
	defer done()
	inst, err := launch(ctx, spec, dir, &s.opts)
	if err != nil {
		return nil, err
	}
	defer inst.close(ctx, s.opts.Timeouts.Exit)
	return describe(ctx, inst, &s.opts)
}

// passing is a directory for the sockets of plugins that are only asked: that of
// the channels once there is one, so that asking while they run depends on no
// other, else one that done removes.
func (s *Supervisor) passing() (dir string, done func(), err error) {
	s.mu.Lock()
	held := s.dir
	s.mu.Unlock()
	if held != nil {
		return held.path, func() {}, held.keep()
	}
	if dir, err = os.MkdirTemp("", "mpush-"); err != nil {
		return "", nil, err
	}
	done = func() { _ = os.RemoveAll(dir) }
	if err := checkSocketPath(dir); err != nil {
		done()
		return "", nil, err
	}
	return dir, done, nil
}

func (s *Supervisor) checkOne(ctx context.Context, spec Spec, dir string, owner Configurer) (*pluginpb.DescribeResponse, error) {
	if spec.Reattach != "" {
		return &pluginpb.DescribeResponse{}, nil // it has but one life, which is not for trying
	}
	inst, err := launch(ctx, spec, dir, &s.opts)
	if err != nil {
		return nil, err
	}
	defer inst.close(ctx, s.opts.Timeouts.Exit)
	manifest, diagnostics, err := introduce(ctx, inst, spec.Channel, owner, &s.opts)
	if err != nil {
		return manifest, err
	}
	if len(diagnostics) > 0 {
		owner.Diagnosed(spec.Channel, bounded(diagnostics))
	}
	return manifest, misconfiguration(diagnostics)
}
