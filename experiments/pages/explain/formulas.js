"use strict";
// Every formula of the page. A distribution is an array that sums to 1; results are in nats; 0 log 0 is 0.
// tests/experiments/explain/test_formulas.py compares them with agents/information.py, here, in a browser.
const sum = (values) => values.reduce((total, value) => total + value, 0);
const formulas = {
  bits: (nats) => nats / Math.LN2,
  information: (p) => 0 - Math.log(p),
  entropy: (p) => formulas.crossEntropy(p, p),
  crossEntropy: (p, q) => sum(p.map((x, a) => (x > 0 ? -x * Math.log(q[a]) : 0))),
  klTerms: (p, q) => p.map((x, a) => (x > 0 ? x * Math.log(x / q[a]) : 0)),
  klDivergence: (p, q) => Math.max(0, sum(formulas.klTerms(p, q))),
  likelihoodRatios: (p, q) => p.map((x, a) => x / q[a]),
  effectiveActions: (p) => Math.exp(formulas.entropy(p)),
  lossTerm: (p, coefficient) => 0 - coefficient * formulas.entropy(p),
  // dH / d theta_a for logits theta: what a step on the term adds to each logit, per unit of coefficient and step.
  entropyGradient: (p) => p.map((x) => (x > 0 ? 0 - x * (Math.log(x) + formulas.entropy(p)) : 0)),
  softmax: (logits) => {
    const weights = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
    return weights.map((weight) => weight / sum(weights));
  },
  // A linear classifier: weights[k] belong to class k, a point's last coordinate is 1.
  classify: (weights, point) => formulas.softmax(weights.map((w) => sum(w.map((value, i) => value * point[i])))),
  // The gradient of the mean cross entropy by weights[k][i]: the mean of (q_k - p_k) x_i.
  classifierGradient: (weights, points, targets) => {
    const beliefs = points.map((point) => formulas.classify(weights, point));
    const mean = (k, i) => sum(points.map((x, n) => (beliefs[n][k] - targets[n][k]) * x[i])) / points.length;
    return weights.map((w, k) => w.map((_, i) => mean(k, i)));
  },
  // One probability is set; the others keep their proportions, or share the rest where they have none.
  withProbability: (p, index, value) => {
    const rest = sum(p.filter((_, a) => a !== index));
    const share = (x) => (rest > 0 ? x / rest : 1 / (p.length - 1));
    return p.map((x, a) => (a === index ? value : (1 - value) * share(x)));
  },
};
