package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	policyv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
)

// cluster is what stands in the cluster when the requests arrive.
type cluster struct {
	objects []runtime.Object
}

// rules is the plug-in with the cluster's policies loaded.
type rules struct {
	plugin     *validating.Plugin
	interfaces admission.ObjectInterfaces
}

// install adds a policy, binding or namespace, with what the API server's defaulting would add to it.
func (c *cluster) install(object runtime.Object) error {
	switch object := object.(type) {
	case *policyv1.ValidatingAdmissionPolicy:
		if object.Spec.FailurePolicy == nil {
			fail := policyv1.Fail
			object.Spec.FailurePolicy = &fail
		}
		selectEverything(object.Spec.MatchConstraints)
	case *policyv1.ValidatingAdmissionPolicyBinding:
		selectEverything(object.Spec.MatchResources)
		// A denial names the first failed validation, warnings name them all.
		if slices.Contains(object.Spec.ValidationActions, policyv1.Deny) {
			object.Spec.ValidationActions = []policyv1.ValidationAction{policyv1.Deny, policyv1.Warn}
		}
	case *corev1.Namespace:
	default:
		return fmt.Errorf("%s is no policy, binding, namespace or AdmissionReview", object.GetObjectKind().GroupVersionKind())
	}
	c.objects = append(c.objects, object)
	return nil
}

// selectEverything fills in the selectors and the match policy that are left out.
func selectEverything(match *policyv1.MatchResources) {
	if match == nil {
		return
	}
	if match.NamespaceSelector == nil {
		match.NamespaceSelector = &metav1.LabelSelector{}
	}
	if match.ObjectSelector == nil {
		match.ObjectSelector = &metav1.LabelSelector{}
	}
	if match.MatchPolicy == nil {
		equivalent := policyv1.Equivalent
		match.MatchPolicy = &equivalent
	}
}

// start runs the plug-in as the API server does, on a client that knows the cluster's objects only. Policies with
// parameters cannot be judged: no kind of parameter is mapped, so refusals ends with an error.
func (c *cluster) start() (rules rules, stop func(), err error) {
	done := make(chan struct{})
	client := fake.NewSimpleClientset(c.objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	plugin := validating.NewPlugin(nil)
	plugin.SetExternalKubeInformerFactory(factory)
	plugin.SetExternalKubeClientSet(client)
	plugin.SetDynamicClient(&dynamic.DynamicClient{})
	plugin.SetRESTMapper(meta.NewDefaultRESTMapper(nil))
	plugin.SetAuthorizer(authorizer.AuthorizerFunc(nobody))
	plugin.SetDrainedNotification(done)
	if err := plugin.ValidateInitialization(); err != nil {
		return rules, nil, err
	}
	factory.Start(done)
	rules.plugin, rules.interfaces = plugin, admission.NewObjectInterfacesFromScheme(scheme.Scheme)
	return rules, func() { close(done) }, nil
}

// refusals is what each policy says against the request; empty when it may pass.
func (r rules) refusals(request admission.Attributes) (map[string][]string, error) {
	said := warnings{}
	denied := r.plugin.Validate(warning.WithWarningRecorder(context.Background(), said), request, r.interfaces)
	if (denied != nil) != (len(said) > 0) {
		return nil, errors.Join(errors.New("denial and warnings disagree"), denied)
	}
	return said, nil
}

// warnings are the messages of failed validations by policy.
type warnings map[string][]string

var failed = regexp.MustCompile(`(?s)^Validation failed for ValidatingAdmissionPolicy '([^']+)' with binding '[^']+': (.*)$`)

// AddWarning keeps a warning of the plug-in; it has no others.
func (w warnings) AddWarning(_, text string) {
	match := failed.FindStringSubmatch(text)
	w[match[1]] = append(w[match[1]], match[2])
}

func nobody(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", nil
}
