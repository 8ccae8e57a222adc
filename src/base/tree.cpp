// AVL tree with parent pointers (Knuth, TAOCP 6.2.3). A node's balance, height after minus height before, is kept plus
// two in the low bits of its parent pointer, so that a linked node's word is never zero.
#include "base/tree.h"

#include "base/check.h"

namespace leat {
namespace {
constexpr uintptr_t kBalanceBits = 3;

TreeNode* parent_of(const TreeNode* n) {
  return reinterpret_cast<TreeNode*>(n->link & ~kBalanceBits);
}
int balance_of(const TreeNode* n) {
  return static_cast<int>(n->link & kBalanceBits) - 2;
}
void set_balance(TreeNode* n, int b) {
  n->link = (n->link & ~kBalanceBits) | static_cast<uintptr_t>(b + 2);
}
void set_parent(TreeNode* n, TreeNode* parent) {
  n->link = reinterpret_cast<uintptr_t>(parent) | (n->link & kBalanceBits);
}
int side_of(const TreeNode* parent, const TreeNode* child) {
  return parent->child[1] == child ? 1 : 0;
}
int weight(int side) {
  return side == 1 ? 1 : -1;
}
}  // namespace

TreeNode* TreeBase::end_node(int side) const {
  TreeNode* n = root_;
  while (n != nullptr && n->child[side] != nullptr)
    n = n->child[side];
  return n;
}

TreeNode* TreeBase::neighbour(const TreeNode* n, int side) {
  if (n->child[side] != nullptr) {
    TreeNode* m = n->child[side];
    while (m->child[1 - side] != nullptr)
      m = m->child[1 - side];
    return m;
  }
  TreeNode* up = parent_of(n);
  while (up != nullptr && up->child[side] == n) {
    n = up;
    up = parent_of(n);
  }
  return up;
}

void TreeBase::link_at(TreeNode* n, TreeNode* parent, int side) {
  LEAT_CHECK(!n->is_linked());
  n->child[0] = n->child[1] = nullptr;
  n->link = reinterpret_cast<uintptr_t>(parent) | 2;
  if (parent == nullptr) {
    root_ = n;
    return;
  }
  parent->child[side] = n;
  grew(n);
}

void TreeBase::link_beside(TreeNode* n, TreeNode* where, int side) {
  if (where->child[side] == nullptr) return link_at(n, where, side);
  link_at(n, neighbour(where, side), 1 - side);
}

void TreeBase::unlink(TreeNode* n) {
  LEAT_CHECK(n->is_linked());
  if (n->child[0] != nullptr && n->child[1] != nullptr) swap_with_next(n);
  TreeNode* const only = n->child[0] != nullptr ? n->child[0] : n->child[1];
  TreeNode* const parent = parent_of(n);
  const int side = parent == nullptr ? 0 : side_of(parent, n);
  replace_child(parent, n, only);
  n->child[0] = n->child[1] = nullptr;
  n->link = 0;
  shrank(parent, side);
}

void TreeBase::replace_child(TreeNode* parent, TreeNode* old_child, TreeNode* new_child) {
  if (parent == nullptr) {
    root_ = new_child;
  } else {
    parent->child[side_of(parent, old_child)] = new_child;
  }
  if (new_child != nullptr) set_parent(new_child, parent);
}

// n, which has two children, and the node after it change places, so that n has one child at most.
void TreeBase::swap_with_next(TreeNode* n) {
  TreeNode* const next = neighbour(n, 1);
  TreeNode* const next_parent = parent_of(next);
  TreeNode* const next_after = next->child[1];
  const int n_balance = balance_of(n);
  const int next_balance = balance_of(next);
  replace_child(parent_of(n), n, next);
  next->child[0] = n->child[0];
  set_parent(next->child[0], next);
  if (next_parent == n) {
    next->child[1] = n;
    set_parent(n, next);
  } else {
    next->child[1] = n->child[1];
    set_parent(next->child[1], next);
    next_parent->child[0] = n;
    set_parent(n, next_parent);
  }
  n->child[0] = nullptr;
  n->child[1] = next_after;
  if (next_after != nullptr) set_parent(next_after, n);
  set_balance(n, next_balance);
  set_balance(next, n_balance);
}

// The subtree at n is one higher than before.
void TreeBase::grew(TreeNode* n) {
  for (TreeNode* p = parent_of(n); p != nullptr; n = p, p = parent_of(n)) {
    const int side = side_of(p, n);
    const int balance = balance_of(p) + weight(side);
    if (balance == 2 || balance == -2) {
      rotate(p, side);
      return;
    }
    set_balance(p, balance);
    if (balance == 0) return;
  }
}

// The subtree on that side of p is one lower than before.
void TreeBase::shrank(TreeNode* p, int side) {
  while (p != nullptr) {
    const int balance = balance_of(p) - weight(side);
    TreeNode* top = p;
    if (balance == 2 || balance == -2) {
      top = rotate(p, 1 - side);
    } else {
      set_balance(p, balance);
    }
    if (balance_of(top) != 0) return;  // as high as before
    p = parent_of(top);
    if (p != nullptr) side = side_of(p, top);
  }
}

// n is two higher on the heavy side; its balance field still says one. Returns the new top of the subtree.
TreeNode* TreeBase::rotate(TreeNode* n, int heavy) {
  TreeNode* const c = n->child[heavy];
  const int w = weight(heavy);
  if (balance_of(c) == -w) {
    TreeNode* const g = c->child[1 - heavy];
    const int lean = balance_of(g);
    lift(g, 1 - heavy);
    lift(g, heavy);
    set_balance(n, lean == w ? -w : 0);
    set_balance(c, lean == -w ? w : 0);
    set_balance(g, 0);
    return g;
  }
  const bool was_even = balance_of(c) == 0;  // only after an erase
  lift(c, heavy);
  set_balance(n, was_even ? w : 0);
  set_balance(c, was_even ? -w : 0);
  return c;
}

// n, its parent's child on that side, takes its parent's place.
void TreeBase::lift(TreeNode* n, int side) {
  TreeNode* const p = parent_of(n);
  TreeNode* const inner = n->child[1 - side];
  replace_child(parent_of(p), p, n);
  p->child[side] = inner;
  if (inner != nullptr) set_parent(inner, p);
  n->child[1 - side] = p;
  set_parent(p, n);
}

}  // namespace leat
