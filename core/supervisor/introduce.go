package supervisor

import (
	"context"
	"fmt"

	"mpush/sdk/pluginpb"
)

// introduce makes the calls that have no side effects, Describe and Configure,
// and returns what the plugin said. It does not look into the diagnostics. The
// manifest is nil if there was none.
func introduce(ctx context.Context, inst instance, channel string, owner Configurer, opts *Options) (*pluginpb.DescribeResponse, []*pluginpb.Diagnostic, error) {
	manifest, err := describe(ctx, inst, opts)
	if err != nil {
		return nil, nil, err
	}
	if err := pluginpb.Spoken(opts.Protocol).Refuse(manifest.GetProtocol()); err != nil {
		return manifest, nil, fmt.Errorf("%w: %w", errProtocol, err)
	}
	request, err := owner.Described(ctx, channel, manifest)
	if err != nil {
		if ctx.Err() != nil {
			return manifest, nil, errStopping
		}
		return manifest, nil, fmt.Errorf("%w: %w", errMisconfigured, err)
	}
	diagnostics, err := configure(ctx, inst, request, opts)
	return manifest, diagnostics, err
}

func describe(ctx context.Context, inst instance, opts *Options) (*pluginpb.DescribeResponse, error) {
	limit := opts.Timeouts.Describe
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	manifest, err := inst.rpc().Describe(ctx, &pluginpb.DescribeRequest{
		Protocol: opts.Protocol,
		Features: opts.Features,
	})
	if err != nil {
		return nil, callError("describe", limit, err)
	}
	return manifest, nil
}

func configure(ctx context.Context, inst instance, request *pluginpb.ConfigureRequest, opts *Options) ([]*pluginpb.Diagnostic, error) {
	limit := opts.Timeouts.Configure
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	response, err := inst.rpc().Configure(ctx, request)
	if err != nil {
		return nil, callError("configure", limit, err)
	}
	for _, d := range response.GetDiagnostics() {
		if d != nil {
			d.Path, d.Message = opts.Redact(d.GetPath()), opts.Redact(d.GetMessage())
		}
	}
	return response.GetDiagnostics(), nil
}

// mostRemarks is how many diagnostics of each weight are passed on.
const mostRemarks = 100

// bounded keeps the first errors and the first of the rest, in their order.
func bounded(diagnostics []*pluginpb.Diagnostic) []*pluginpb.Diagnostic {
	var kept []*pluginpb.Diagnostic
	faults, rest := 0, 0
	for _, d := range diagnostics {
		count := &rest
		if misconfiguration([]*pluginpb.Diagnostic{d}) != nil {
			count = &faults
		}
		if *count++; *count <= mostRemarks {
			kept = append(kept, &pluginpb.Diagnostic{Severity: d.GetSeverity(), Path: clip(d.GetPath()), Message: clip(d.GetMessage())})
		}
	}
	return kept
}

// misconfiguration returns the first error among diagnostics, nil if there is
// none.
func misconfiguration(diagnostics []*pluginpb.Diagnostic) error {
	for _, d := range diagnostics {
		switch d.GetSeverity() {
		case pluginpb.Severity_SEVERITY_WARNING, pluginpb.Severity_SEVERITY_INFO:
			continue
		}
		if d.GetPath() == "" {
			return fmt.Errorf("%w: %s", errMisconfigured, clip(d.GetMessage()))
		}
		return fmt.Errorf("%w: %s: %s", errMisconfigured, clip(d.GetPath()), clip(d.GetMessage()))
	}
	return nil
}
