// Command judge asks the API server's own ValidatingAdmissionPolicy plug-in about admission requests, without a
// cluster.
//
// Standard input is a stream of JSON objects as Kubernetes writes them: policies, bindings and namespaces in any
// order, then AdmissionReviews. Each AdmissionReview is answered by one line on standard output: an object with the
// message of each policy that refuses the request, empty when all of them let it pass.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/klog/v2"
)

func main() {
	klog.SetLogger(klog.Logger{}) // the plug-in tells of every refresh
	if err := judge(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(70)
	}
}

// judge answers every AdmissionReview of in by one line of out.
func judge(in io.Reader, out io.Writer) error {
	installed, reviews, err := read(in)
	if err != nil {
		return err
	}
	rules, stop := installed.rules()
	defer stop()

	lines := bufio.NewWriter(out)
	answers := json.NewEncoder(lines)
	answers.SetEscapeHTML(false)
	for _, review := range reviews {
		request, err := attributes(review.Request)
		if err != nil {
			return fmt.Errorf("request %s %q: %w", review.Request.Operation, review.Request.Name, err)
		}
		refusals := map[string]string{}
		for _, rule := range rules {
			if err := rule.validate(request); err != nil {
				refusals[rule.name] = err.Error()
			}
		}
		if err := answers.Encode(refusals); err != nil {
			return err
		}
	}
	return lines.Flush()
}

// read sorts the objects of the stream into what is installed and what is asked.
func read(in io.Reader) (installed, []admissionv1.AdmissionReview, error) {
	var given installed
	var reviews []admissionv1.AdmissionReview
	for stream := json.NewDecoder(in); ; {
		var raw json.RawMessage
		if err := stream.Decode(&raw); errors.Is(err, io.EOF) {
			return given, reviews, nil
		} else if err != nil {
			return given, nil, fmt.Errorf("standard input is not a stream of JSON objects: %w", err)
		}
		object, err := decode(raw)
		if err != nil {
			return given, nil, err
		}
		if review, ok := object.(*admissionv1.AdmissionReview); ok {
			reviews = append(reviews, *review)
		} else if err := given.add(object); err != nil {
			return given, nil, err
		}
	}
}
