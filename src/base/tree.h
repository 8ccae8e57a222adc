// Intrusive ordered tree (AVL): insert, erase and search in O(log n), neighbours in O(1) on average. The object embeds
// a TreeNode; the tree owns nothing and allocates nothing. Equal objects stand in the order in which they came.
//   struct Foo { uint32_t seq; TreeNode node; };
//   struct BySeq { bool operator()(const Foo& a, const Foo& b) const { return before(a.seq, b.seq); } };
//   Tree<Foo, &Foo::node, BySeq> tree;
// A Compare over sequence numbers is an order as long as all of them lie within half of the number space.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leat {

struct TreeNode {
  TreeNode* child[2] = {nullptr, nullptr};  // 0: before, 1: after
  uintptr_t link = 0;                       // the parent, and the balance in the low bits; 0: in no tree
  bool is_linked() const { return link != 0; }
};

// What does not depend on the type.
class TreeBase {
 public:
  TreeBase() = default;
  TreeBase(const TreeBase&) = delete;
  TreeBase& operator=(const TreeBase&) = delete;
  bool is_empty() const { return root_ == nullptr; }

 protected:
  TreeNode* end_node(int side) const;                        // the first (0) or the last (1)
  static TreeNode* neighbour(const TreeNode* n, int side);   // the one before (0) or after (1)
  void link_at(TreeNode* n, TreeNode* parent, int side);     // becomes parent's child; parent null: the root
  void link_beside(TreeNode* n, TreeNode* where, int side);  // right before (0) or after (1) `where`
  void unlink(TreeNode* n);
  TreeNode* root_ = nullptr;

 private:
  void grew(TreeNode* n);
  void shrank(TreeNode* parent, int side);
  TreeNode* rotate(TreeNode* n, int heavy);
  void lift(TreeNode* n, int side);
  void replace_child(TreeNode* parent, TreeNode* old_child, TreeNode* new_child);
  void swap_with_next(TreeNode* n);
};

template <class T, TreeNode T::* Member, class Compare>
class Tree : public TreeBase {
 public:
  T* first() const { return owner(end_node(0)); }
  T* last() const { return owner(end_node(1)); }
  T* next(const T* t) const { return owner(neighbour(&(t->*Member), 1)); }
  T* prev(const T* t) const { return owner(neighbour(&(t->*Member), 0)); }

  void insert(T* t) {
    TreeNode* parent = nullptr;
    int side = 0;
    for (TreeNode* n = root_; n != nullptr; n = n->child[side]) {
      parent = n;
      side = Compare()(*t, *owner(n)) ? 0 : 1;
    }
    link_at(&(t->*Member), parent, side);
  }
  // For who knows the place already; the order is the caller's promise.
  void insert_before(T* where, T* t) { link_beside(&(t->*Member), &(where->*Member), 0); }
  void insert_after(T* where, T* t) { link_beside(&(t->*Member), &(where->*Member), 1); }
  void erase(T* t) { unlink(&(t->*Member)); }
  T* pop_first() {
    T* t = first();
    if (t != nullptr) erase(t);
    return t;
  }

  // The first object for which holds(const T&) is true; it must be false up to some place and true from there on.
  template <class P>
  T* find_first(P&& holds) const {
    TreeNode* found = nullptr;
    for (TreeNode* n = root_; n != nullptr;) {
      const bool here = holds(static_cast<const T&>(*owner(n)));
      if (here) found = n;
      n = n->child[here ? 0 : 1];
    }
    return owner(found);
  }
  // The last object for which holds(const T&) is true; it must be true up to some place and false from there on.
  template <class P>
  T* find_last(P&& holds) const {
    TreeNode* found = nullptr;
    for (TreeNode* n = root_; n != nullptr;) {
      const bool here = holds(static_cast<const T&>(*owner(n)));
      if (here) found = n;
      n = n->child[here ? 1 : 0];
    }
    return owner(found);
  }
  T* lower_bound(const T& key) const {  // the first that is not before key
    return find_first([&](const T& t) { return !Compare()(t, key); });
  }

 private:
  static T* owner(TreeNode* n) {
    if (n == nullptr) return nullptr;
    const auto offset = reinterpret_cast<size_t>(&(static_cast<T*>(nullptr)->*Member));
    return reinterpret_cast<T*>(reinterpret_cast<uint8_t*>(n) - offset);
  }
};

}  // namespace leat
