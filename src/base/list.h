// Intrusive doubly linked list. The object embeds a ListNode; the list owns nothing and allocates nothing.
//   struct Foo { ListNode node; };   List<Foo, &Foo::node> list;
#pragma once

#include <cstddef>
#include <cstdint>

namespace leat {

struct ListNode {
  ListNode* prev = nullptr;
  ListNode* next = nullptr;
  bool is_linked() const { return next != nullptr; }
  void unlink() {
    prev->next = next;
    next->prev = prev;
    prev = next = nullptr;
  }
};

template <class T, ListNode T::* Member>
class List {
 public:
  List() { head_.prev = head_.next = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  bool is_empty() const { return head_.next == &head_; }
  T* front() const { return is_empty() ? nullptr : owner(head_.next); }
  T* back() const { return is_empty() ? nullptr : owner(head_.prev); }
  T* next(const T* t) const { return (t->*Member).next == &head_ ? nullptr : owner((t->*Member).next); }
  T* prev(const T* t) const { return (t->*Member).prev == &head_ ? nullptr : owner((t->*Member).prev); }

  void push_back(T* t) { insert_between(&(t->*Member), head_.prev, &head_); }
  void push_front(T* t) { insert_between(&(t->*Member), &head_, head_.next); }
  void insert_after(T* where, T* t) { insert_between(&(t->*Member), &(where->*Member), (where->*Member).next); }
  void insert_before(T* where, T* t) { insert_between(&(t->*Member), (where->*Member).prev, &(where->*Member)); }
  static void erase(T* t) { (t->*Member).unlink(); }
  T* pop_front() {
    T* t = front();
    if (t != nullptr) erase(t);
    return t;
  }

  // All of `from` behind what is here, which keeps its order, in one step.
  void take_all(List& from) {
    if (from.is_empty()) return;
    ListNode* first = from.head_.next;
    ListNode* last = from.head_.prev;
    from.head_.prev = from.head_.next = &from.head_;
    first->prev = head_.prev;
    head_.prev->next = first;
    last->next = &head_;
    head_.prev = last;
  }

  // Empties the list and then calls f(T*) for each that was in it, in order and unlinked.
  template <class F>
  void drain(F&& f) {
    ListNode* n = head_.next;
    head_.prev = head_.next = &head_;
    while (n != &head_) {
      ListNode* next = n->next;
      n->prev = n->next = nullptr;
      f(owner(n));
      n = next;
    }
  }

  class iterator {
   public:
    iterator(ListNode* n) : node_(n) {}
    T& operator*() const { return *owner(node_); }
    iterator& operator++() {
      node_ = node_->next;
      return *this;
    }
    bool operator!=(const iterator& o) const { return node_ != o.node_; }

   private:
    ListNode* node_;
  };
  iterator begin() { return iterator(head_.next); }
  iterator end() { return iterator(&head_); }

 private:
  static T* owner(ListNode* n) {
    const auto offset = reinterpret_cast<size_t>(&(static_cast<T*>(nullptr)->*Member));
    return reinterpret_cast<T*>(reinterpret_cast<uint8_t*>(n) - offset);
  }
  static void insert_between(ListNode* n, ListNode* before, ListNode* after) {
    n->prev = before;
    n->next = after;
    before->next = n;
    after->prev = n;
  }
  ListNode head_;
};

}  // namespace leat
